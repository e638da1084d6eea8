import type { IncomingMessage } from 'node:http';

import { ForbiddenException } from '@nestjs/common';

import type { HttpRequest } from '../../nest/http/http-options.js';
import { SessionSetupError } from '../../session/session-error.js';

/** Returns whether a request may see the inspector. */
type Authorize = (request: HttpRequest) => boolean | Promise<boolean>;

const LOOPBACK = /^(?:::1|(?:::ffff:)?127(?:\.\d{1,3}){3})$/i;
const LOCAL_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i;
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'];

/**
 * Checks who may see the inspector. The application decides. Without `authorize`, only clients on the same machine may.
 */
export class InspectorAccess {
  readonly #authorize: Authorize | undefined;

  /** @throws {SessionSetupError} in production, without `authorize` */
  constructor(authorize: Authorize | undefined) {
    if (authorize === undefined && process.env['NODE_ENV'] === 'production') {
      throw new SessionSetupError(
        'SessionInspectorModule was imported in production without `authorize`, and would show statements and labels to ' +
          'everybody who can reach it. Say who may see it: SessionInspectorModule.forRoot({ authorize: (request) => ... }).',
      );
    }
    this.#authorize = authorize;
  }

  /** @throws {ForbiddenException} for a client that may not see it */
  async assertAllowed(request: HttpRequest): Promise<void> {
    const isAllowed = this.#authorize === undefined ? isLocal(rawRequest(request)) : await this.#authorize(request);
    // Only `true` means yes, whatever else a function in JavaScript may return.
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

/**
 * Whether the client is on this machine. A proxy on this machine forwards requests of others, and another host name may
 * have been made to resolve to this machine.
 */
function isLocal({ socket, headers }: IncomingMessage): boolean {
  return (
    LOOPBACK.test(socket.remoteAddress ?? '') &&
    LOCAL_HOST.test(headers.host ?? '') &&
    FORWARDED.every((name) => headers[name] === undefined)
  );
}
