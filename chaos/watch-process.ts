import type { Tally } from './tally.js';

/** Counts the errors that nobody caught, and the listeners that pile up, until it is disposed. */
export function watchProcess(tally: Tally): Disposable {
  const onError = (error: unknown): void => {
    tally.find('errors', error instanceof Error ? (error.stack ?? error.message) : String(error));
  };
  const onWarning = ({ name, message }: Error): void => {
    if (name === 'MaxListenersExceededWarning') {
      tally.find('handles', message);
    }
  };
  process.on('unhandledRejection', onError);
  process.on('uncaughtException', onError);
  process.on('warning', onWarning);
  return {
    [Symbol.dispose]() {
      process.off('unhandledRejection', onError);
      process.off('uncaughtException', onError);
      process.off('warning', onWarning);
    },
  };
}
