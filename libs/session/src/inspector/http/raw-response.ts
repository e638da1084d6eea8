import type { ServerResponse } from 'node:http';

interface FastifyReply {
  readonly raw?: ServerResponse;
  hijack?(): unknown;
}

/** Returns Node's response behind that of the platform. */
export function rawResponse(response: object): ServerResponse {
  return (response as FastifyReply).raw ?? (response as ServerResponse);
}

/** Returns Node's response, which the platform leaves alone from now on. */
export function takeResponse(response: object): ServerResponse {
  (response as FastifyReply).hijack?.();
  return rawResponse(response);
}
