import type { IncomingMessage } from 'node:http';

import { ForbiddenException } from '@nestjs/common';

import type { HttpRequest } from '../../nest/http/http-options.js';
import { SessionSetupError } from '../../session/session-error.js';

/** Whether a request may see the inspector. */
type Authorize = (request: HttpRequest) => boolean | Promise<boolean>;

const LOOPBACK = /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/i;
const LOCAL_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

/** Lets those see the inspector whom the application authorises: without a word of it, the machine itself alone. */
export class InspectorAccess {
  readonly #authorize: Authorize | undefined;

  /** @throws {SessionSetupError} in production, where nobody has said who may see it */
  constructor(authorize: Authorize | undefined) {
    if (authorize === undefined && process.env['NODE_ENV'] === 'production') {
      throw new SessionSetupError(
        'SessionInspectorModule was imported in production without `authorize`, and would show statements and labels to ' +
          'whoever reaches it. Say who may see it: SessionInspectorModule.forRoot({ authorize: (request) => ... }).',
      );
    }
    this.#authorize = authorize;
  }

  /** @throws {ForbiddenException} for those who may not */
  async assertAllowed(request: HttpRequest): Promise<void> {
    const isAllowed = this.#authorize === undefined ? isLocal(rawRequest(request)) : await this.#authorize(request);
    // Whatever else a function in JavaScript may return is no yes.
    if ((isAllowed as unknown) !== true) {
      throw new ForbiddenException(
        this.#authorize === undefined
          ? 'The session inspector is for clients of this machine, unless it is given `authorize`.'
          : 'You may not see the session inspector.',
      );
    }
  }
}

function rawRequest(request: HttpRequest): IncomingMessage {
  return (request as { readonly raw?: IncomingMessage }).raw ?? (request as IncomingMessage);
}

/** A proxy on this machine speaks for others, and a name of another host may have been made to lead here. */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  return (
    LOOPBACK.test(socket.remoteAddress ?? '') &&
    LOCAL_HOST.test(headers.host ?? '') &&
    FORWARDED.every((name) => headers[name] === undefined)
  );
}
