import { Param, ParseUUIDPipe, type PipeTransform } from '@nestjs/common';

import { InvalidRequestException } from '../errors/invalid-request.exception.js';

const isUuid = new ParseUUIDPipe({
  exceptionFactory: () => new InvalidRequestException([{ field: 'id', reason: 'expected a UUID' }]),
});

/** A UUID may be written in capitals. The ids of runs are compared as text. */
const inSmallLetters: PipeTransform<string, string> = { transform: (id) => id.toLowerCase() };

/** The id of a run, in the path of a request. */
export const RunId = (): ParameterDecorator => Param('id', isUuid, inSmallLetters);
