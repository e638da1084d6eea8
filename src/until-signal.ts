const PATIENCE_MS = 10_000;

/**
 * Milliseconds in which a second signal is ignored: npm passes on the Ctrl+C that the terminal has sent to this process
 * already.
 */
const ECHO_MS = 1_000;

/** Milliseconds between two checks that npm still runs. */
const WATCH_MS = 500;

/**
 * Resolves on the first SIGINT or SIGTERM, and when npm, which started this process, has ended. Then the process must
 * end within some seconds, or it is killed. A second signal ends it at once.
 */
export async function untilSignal(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let endingSince: number | undefined;
  const begin = (): void => {
    if (endingSince === undefined) {
      endingSince = Date.now();
      setTimeout(giveUp, PATIENCE_MS).unref();
      resolve();
    }
  };
  const onSignal = (): void => {
    if (endingSince !== undefined && !isEcho(endingSince)) {
      process.exit(1);
    }
    begin();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  if (isStartedByNpm()) {
    onceOrphaned(begin);
  }
  return promise;
}

function isStartedByNpm(): boolean {
  return process.env['npm_lifecycle_event'] !== undefined;
}

function isEcho(first: number): boolean {
  return isStartedByNpm() && Date.now() - first < ECHO_MS;
}

/** Calls `act` when npm has ended: a killed npm passes no signal on. */
function onceOrphaned(act: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) {
      clearInterval(timer);
      act();
    }
  }, WATCH_MS);
  timer.unref();
}

function giveUp(): void {
  process.stderr.write(`Did not end within ${PATIENCE_MS / 1_000} seconds: giving up.\n`);
  process.exit(1);
}
