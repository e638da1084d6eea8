/** How a scope ended. `done`: it ended well, without a transaction. */
export type ScopeOutcome = 'committed' | 'rolledBack' | 'done' | 'failed' | 'timeout' | 'aborted' | 'disconnected';

/** What a scope did for some time, and from when to when, in milliseconds since it was opened. */
export type ScopePart = readonly [kind: 'waiting' | 'transaction', from: number, to: number];

/** A scope that has ended. Times are milliseconds, those that are points in time since 1970. */
export interface EndedScope {
  /** Grows from one to the next. */
  readonly key: number;
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  /** The scope whose task it ran on, and the one that it was started in, where that is another. */
  readonly task: string | undefined;
  readonly parent: string | undefined;
  readonly openedAt: number;
  readonly duration: number;
  readonly parts: readonly ScopePart[];
  readonly outcome: ScopeOutcome;
  /** What it threw. */
  error?: string;
}

/** A scope that has a session now. */
export interface LiveScopeView {
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  readonly state: string;
  readonly openedAt: number;
  readonly task: string | undefined;
  readonly parent: string | undefined;
  readonly entities: number;
  readonly unflushed: number;
  readonly transaction: 'none' | 'begun' | 'open' | 'failed';
  /** How many transactions and savepoints are open in it. */
  readonly depth: number;
  /** The process of the server, for each connection that it holds. */
  readonly connections: readonly number[];
  /** What it waits for now, and since when. */
  readonly waitsFor: 'connection' | 'statement' | undefined;
  readonly waitsSince: number | undefined;
  readonly statement: string | undefined;
  /** The line of code that opened its session, where `leakAfter` is on. */
  readonly openedIn: string | undefined;
  readonly info: Readonly<Record<string, string>>;
}

export interface LiveScopes {
  readonly total: number;
  /** The oldest of them. */
  readonly scopes: readonly LiveScopeView[];
}

/** What a pool was like at a time. */
export type PoolSample = readonly [at: number, inUse: number, waiting: number, size: number];

export interface PoolView {
  readonly name: string;
  readonly max: number;
  readonly size: number;
  readonly idle: number;
  readonly inUse: number;
  readonly waiting: number;
  /** One sample a second, of the last five minutes. */
  readonly samples: readonly PoolSample[];
}

export interface RunFailure {
  readonly index: number;
  readonly ending: string;
  readonly message: string;
}

/** A run of JobService. */
export interface RunView {
  readonly id: number;
  readonly label: string;
  readonly total: number | undefined;
  readonly lanes: number;
  readonly done: number;
  readonly failed: number;
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  /** How many jobs have ended per second, on the whole. */
  readonly rate: number;
  /** Milliseconds until the end, if it goes on at that rate. */
  readonly timeLeft: number | undefined;
  /** The latest of its failures. */
  readonly failures: readonly RunFailure[];
}

export interface QueueView {
  readonly name: string;
  readonly ready: number;
  readonly active: number;
  readonly deferred: number;
  readonly failed: number;
  readonly deadLetter: string | undefined;
}

export interface QueuesView {
  readonly queues: readonly QueueView[];
  /** Why they could not be counted. */
  readonly error: string | undefined;
}

/** A use that was refused or warned of. */
export interface MisuseView {
  /** Grows from one to the next. */
  readonly key: number;
  readonly at: number;
  readonly code: string;
  readonly scope: string;
  readonly message: string;
  readonly remedy: string;
}

/** All that the inspector shows. */
export interface InspectorState {
  readonly at: number;
  /** How many ended scopes are kept. */
  readonly history: number;
  /** Whether scopes can be ended from the page. */
  readonly actions: boolean;
  readonly pools: readonly PoolView[];
  readonly live: LiveScopes;
  /** The oldest first. */
  readonly ended: readonly EndedScope[];
  readonly runs: readonly RunView[];
  /** Undefined where the application has no durable jobs. */
  readonly queues: QueuesView | undefined;
  readonly misuse: readonly MisuseView[];
}

/** What is new since the last time. What is missing has not changed. */
export interface InspectorChange {
  readonly at: number;
  /** With the new samples only. */
  readonly pools?: readonly PoolView[];
  readonly live?: {
    readonly total: number;
    readonly changed: readonly LiveScopeView[];
    readonly gone: readonly string[];
  };
  readonly ended?: readonly EndedScope[];
  readonly runs?: readonly RunView[];
  readonly queues?: QueuesView;
  readonly misuse?: readonly MisuseView[];
}
