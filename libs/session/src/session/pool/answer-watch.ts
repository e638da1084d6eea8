import type { Pool } from './pool.js';
import { findForgotten } from './find-forgotten.js';
import type { Lease } from './lease.js';

/** How often the statements that have no answer are looked at. */
const INTERVAL_MS = 5_000;
/** For how many looks in a row the server must be out of reach before its connections are given up. */
const UNREACHABLE_LOOKS = 4;
/**
 * For how many looks in a row the server must not know a connection. Behind one address there may be several servers, one
 * of which would know it.
 */
const UNKNOWN_LOOKS = 6;

const FORGOTTEN = 'the network has lost a statement or its answer, and the server works on none';
const OUT_OF_REACH = 'the server does not answer, not on a new connection either';

const GONE = 'its server does not know it any more';

interface Suspicion {
  /** In how many looks in a row the server did not know it. */
  readonly unknownLooks: number;
  readonly answers: number;
  readonly bytes: number | undefined;
}

/**
 * Ends the wait for an answer that never comes, because the network has lost it: the driver would wait for ever. A
 * statement that is only slow goes on, however long it takes, since the server says that it works on it.
 */
export class AnswerWatch {
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #unreachableLooks = 0;
  #suspicions = new Map<Lease, Suspicion>();

  /** @param out those that are checked out of the pool */
  constructor(
    private readonly pool: Pool,
    private readonly out: () => readonly Lease[],
  ) {}

  /** Called when a connection is checked out. Looks on as long as one is. */
  start(): void {
    this.#timer ??= setInterval(() => void this.#lookOnce(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#suspicions.clear();
  }

  /** Looks at once at those that nobody waits for any more but their own statements. */
  async endForgotten(isConcerned: (lease: Lease) => boolean): Promise<void> {
    const silent = this.out().filter((lease) => lease.silence.milliseconds > 0 && isConcerned(lease));
    const suspects = new Map(silent.map((lease) => [lease, suspect(lease)]));
    if (suspects.size === 0) {
      return;
    }
    const { isUnreachable, connections } = await findForgotten(this.pool, [...suspects.keys()]);
    for (const lease of isUnreachable ? suspects.keys() : connections) {
      destroyIfSilent(lease, suspects.get(lease), isUnreachable ? OUT_OF_REACH : FORGOTTEN);
    }
  }

  async #lookOnce(): Promise<void> {
    if (this.#isLooking) {
      return;
    }
    this.#isLooking = true;
    try {
      await this.#look();
    } finally {
      this.#isLooking = false;
    }
  }

  async #look(): Promise<void> {
    const out = this.out();
    if (out.length === 0) {
      this.stop();
      return;
    }
    const silent = out.filter(({ silence }) => silence.milliseconds >= INTERVAL_MS);
    if (silent.length === 0) {
      this.#unreachableLooks = 0;
      this.#suspicions.clear();
      return;
    }
    const { isUnreachable, connections, unknown } = await findForgotten(this.pool, silent);
    this.#unreachableLooks = isUnreachable ? this.#unreachableLooks + 1 : 0;
    const before = this.#suspicions;
    this.#suspicions = new Map();
    for (const lease of isUnreachable ? silent : [...connections, ...unknown]) {
      const suspicion = before.get(lease);
      const isUnknown = unknown.includes(lease);
      const unknownLooks = isUnknown ? (suspicion?.unknownLooks ?? 0) + 1 : 0;
      this.#suspicions.set(lease, suspect(lease, unknownLooks));
      if (isUnreachable) {
        if (this.#unreachableLooks >= UNREACHABLE_LOOKS) {
          destroyIfSilent(lease, suspicion, OUT_OF_REACH);
        }
      } else if (!isUnknown) {
        destroyIfSilent(lease, suspicion, FORGOTTEN);
      } else if (unknownLooks >= UNKNOWN_LOOKS) {
        destroyIfSilent(lease, suspicion, GONE);
      }
    }
  }
}

function suspect({ silence, bytesRead }: Lease, unknownLooks = 0): Suspicion {
  return { answers: silence.count, bytes: bytesRead, unknownLooks };
}

function destroyIfSilent(lease: Lease, before: Suspicion | undefined, reason: string): void {
  const { answers, bytes } = suspect(lease);
  if (lease.silence.milliseconds > 0 && answers === before?.answers && bytes === before.bytes) {
    lease.destroy(new Error(reason));
  }
}
