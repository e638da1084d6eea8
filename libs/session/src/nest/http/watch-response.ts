import { errorMonitor } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';

/** A response of Node over HTTP/1 or HTTP/2, or the object that a runtime without sockets uses instead. */
export type AnyResponse = ServerResponse & {
  /** The stream of a response over HTTP/2. */
  readonly stream?: Pick<ServerHttp2Stream, 'once' | 'aborted' | 'destroyed'>;
};

/**
 * Calls back at the first sign that a response is over, and maybe again at a later sign. Node emits `close` last, but a
 * runtime without sockets may stop at `finish` or `error`, and a response over HTTP/2 that was reset may emit nothing.
 */
export function watchResponse(response: AnyResponse, onOver: (isSent: boolean) => void): void {
  const onClose = (): void => onOver(isSent(response));
  response.once('close', onClose);
  response.stream?.once('close', onClose);
  // Not a listener to `error`, which would hide an error that has no other listener.
  response.once(errorMonitor, onClose);
  response.once('finish', () => {
    // Over HTTP/2, `finish` only says that the stream is closed.
    const isFinished = response.stream === undefined || isSent(response);
    // Listeners of the user may still use the session.
    queueMicrotask(() => onOver(isFinished));
  });
}

/** Whether a response is over, even one that emits no event. */
export function isOver(response: AnyResponse): boolean {
  return response.closed || response.destroyed || isSent(response);
}

/** Whether the whole response was passed to the network, or to the runtime where there is no socket. */
export function isSent({ stream, writableFinished, writableEnded, destroyed, socket }: AnyResponse): boolean {
  if (stream !== undefined) {
    // Node itself finishes the response of a stream that is reset.
    return writableEnded && writableFinished && !stream.aborted;
  }
  return writableFinished || (writableEnded && !destroyed && (socket === null || socket === undefined));
}
