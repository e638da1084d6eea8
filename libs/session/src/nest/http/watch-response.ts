import { errorMonitor } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';

/** What is known of responses: those of Node over HTTP/1 and HTTP/2, and what runtimes without sockets put in their place. */
export type AnyResponse = ServerResponse & {
  /** The stream of a response over HTTP/2. */
  readonly stream?: Pick<ServerHttp2Stream, 'once' | 'aborted' | 'destroyed'>;
};

/**
 * Calls back when a response is over, at the first sign of it, maybe again at a later one. Node emits `close` last, but
 * a runtime without sockets may stop at `finish` or `error`, and a response over HTTP/2 that was reset may emit nothing.
 */
export function watchResponse(response: AnyResponse, onOver: (isSent: boolean) => void): void {
  const onClose = (): void => onOver(isSent(response));
  response.once('close', onClose);
  response.stream?.once('close', onClose);
  // Not a listener to `error`: it would hide an error that nobody else listens to.
  response.once(errorMonitor, onClose);
  response.once('finish', () => {
    // Over HTTP/2 it says no more than that the stream is closed.
    const isFinished = response.stream === undefined || isSent(response);
    // The listeners of the user may want the session once more.
    queueMicrotask(() => onOver(isFinished));
  });
}

/** Whether a response is over, also one that emits nothing. */
export function isOver(response: AnyResponse): boolean {
  return response.closed || response.destroyed || isSent(response);
}

/** Whether all of a response was handed to the network, or to its taker where it has no socket. */
export function isSent({ stream, writableFinished, writableEnded, destroyed, socket }: AnyResponse): boolean {
  if (stream !== undefined) {
    // A stream that is reset is finished by Node itself.
    return writableEnded && writableFinished && !stream.aborted;
  }
  return writableFinished || (writableEnded && !destroyed && (socket === null || socket === undefined));
}
