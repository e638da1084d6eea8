import { Param, ParseUUIDPipe, type PipeTransform } from '@nestjs/common';

import { InvalidRequestException } from '../errors/invalid-request.exception.js';

const isUuid = new ParseUUIDPipe({
  exceptionFactory: () => new InvalidRequestException([{ field: 'id', reason: 'expected a UUID' }]),
});

/** Converts to lower case: a UUID may have capitals, and the ids of runs are compared as text. */
const inSmallLetters: PipeTransform<string, string> = { transform: (id) => id.toLowerCase() };

/** Reads the id of a run from the path of a request. */
export const RunId = (): ParameterDecorator => Param('id', isUuid, inSmallLetters);
