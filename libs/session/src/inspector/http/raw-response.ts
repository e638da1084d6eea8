import type { ServerResponse } from 'node:http';

interface FastifyReply {
  readonly raw?: ServerResponse;
  hijack?(): unknown;
}

/** Returns the response of Node inside that of the platform. */
export function rawResponse(response: object): ServerResponse {
  return (response as FastifyReply).raw ?? (response as ServerResponse);
}

/** Returns the response of Node. The platform does not use it from now on. */
export function takeResponse(response: object): ServerResponse {
  (response as FastifyReply).hijack?.();
  return rawResponse(response);
}
