import type { Pool } from './pool.js';
import { findForgotten, type Forgotten } from './find-forgotten.js';
import type { Lease } from './lease.js';

/** Milliseconds between two looks at the statements without an answer. */
const INTERVAL_MS = 5_000;
/** The number of looks in a row in which the server must be unreachable before its connections are given up. */
const UNREACHABLE_LOOKS = 4;
/**
 * The number of looks in a row in which the server must not know a connection. Behind one address there may be several
 * servers, and another one may know it.
 */
const UNKNOWN_LOOKS = 6;

const FORGOTTEN = 'the network has lost a statement or its answer, and the server works on none';
const OUT_OF_REACH = 'the server does not answer, not on a new connection either';

const GONE = 'its server does not know it any more';

interface Suspicion {
  /** The number of looks in a row in which the server did not know the connection. */
  readonly unknownLooks: number;
  readonly answers: number;
  readonly bytes: number | undefined;
}

type Suspects = ReadonlyMap<Lease, Suspicion>;

/**
 * Ends the wait for an answer that the network has lost. The driver would wait for it for ever. A slow statement goes
 * on, however long it takes: the server says that it still works on it.
 */
export class AnswerWatch {
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #unreachableLooks = 0;
  #suspicions = new Map<Lease, Suspicion>();

  /** @param out the connections that are checked out of the pool */
  constructor(
    private readonly pool: Pool,
    private readonly out: () => readonly Lease[],
  ) {}

  /** Called when a connection is checked out. Looks as long as any connection is checked out. */
  start(): void {
    this.#timer ??= setInterval(() => void this.#lookOnce(), INTERVAL_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#suspicions.clear();
  }

  /** Looks at once at the connections of scopes that have ended but for their statements. */
  async endForgotten(isConcerned: (lease: Lease) => boolean): Promise<void> {
    const suspects = this.#findSuspects(isConcerned);
    if (suspects.size > 0) {
      const answer = await findForgotten(this.pool, [...suspects.keys()]);
      if (answer.server !== 'silence') {
        endSilent(suspects, answer);
      }
    }
  }

  /**
   * Looks at once at all connections, and asks the server even where there is none. Ends none where the server is
   * unreachable.
   */
  async endAllForgotten(): Promise<Forgotten<Lease>['server']> {
    const suspects = this.#findSuspects(() => true);
    const answer = await findForgotten(this.pool, [...suspects.keys()]);
    if (answer.server !== 'unreachable') {
      endSilent(suspects, answer);
    }
    return answer.server;
  }

  #findSuspects(isConcerned: (lease: Lease) => boolean): Suspects {
    const silent = this.out().filter((lease) => lease.use.silence.milliseconds > 0 && isConcerned(lease));
    return new Map(silent.map((lease) => [lease, suspect(lease)]));
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
    const silent = out.filter(({ use }) => use.silence.milliseconds >= INTERVAL_MS);
    if (silent.length === 0) {
      this.#unreachableLooks = 0;
      this.#suspicions.clear();
      return;
    }
    const { server, connections, unknown } = await findForgotten(this.pool, silent);
    if (server === 'silence') {
      // A pooler has let us in, and slow statements of others keep its connections. That tells nothing of ours.
      return;
    }
    const isUnreachable = server === 'unreachable';
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

function endSilent(suspects: Suspects, { server, connections }: Forgotten<Lease>): void {
  const isUnreachable = server !== 'answers';
  for (const lease of isUnreachable ? suspects.keys() : connections) {
    destroyIfSilent(lease, suspects.get(lease), isUnreachable ? OUT_OF_REACH : FORGOTTEN);
  }
}

function suspect({ use, bytesRead }: Lease, unknownLooks = 0): Suspicion {
  return { answers: use.silence.count, bytes: bytesRead, unknownLooks };
}

function destroyIfSilent(lease: Lease, before: Suspicion | undefined, reason: string): void {
  const { answers, bytes } = suspect(lease);
  if (lease.use.silence.milliseconds > 0 && answers === before?.answers && bytes === before.bytes) {
    lease.destroy(new Error(reason));
  }
}
