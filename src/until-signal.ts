const PATIENCE_MS = 10_000;

/** npm passes the Ctrl+C on that the terminal has sent to this process already. */
const ECHO_MS = 500;

/**
 * Resolves on the first SIGINT or SIGTERM. From then on the process has to end within some seconds, or is ended; a second
 * signal ends it at once.
 */
export async function untilSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let endingSince: number | undefined;
  const end = (): void => {
    if (endingSince === undefined) {
      endingSince = Date.now();
      setTimeout(giveUp, PATIENCE_MS).unref();
      resolve();
      return;
    }
    if (!isEcho(endingSince)) {
      process.exit(1);
    }
  };
  process.on('SIGINT', end);
  process.on('SIGTERM', end);
  return promise;
}

function isEcho(first: number): boolean {
  return process.env['npm_lifecycle_event'] !== undefined && Date.now() - first < ECHO_MS;
}

function giveUp(): void {
  process.stderr.write(`Did not end within ${PATIENCE_MS / 1_000} seconds: giving up.\n`);
  process.exit(1);
}
