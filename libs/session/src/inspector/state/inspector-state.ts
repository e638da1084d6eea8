/** How a scope ended. `done`: without an error and without a transaction. */
export type ScopeOutcome = 'committed' | 'rolledBack' | 'done' | 'failed' | 'timeout' | 'aborted' | 'disconnected';

/** A part of the life of a scope, in milliseconds since it was opened. */
export type ScopePart = readonly [kind: 'waiting' | 'transaction', from: number, to: number];

/** A scope that has ended. Times are milliseconds. Points in time count from 1970. */
export interface EndedScope {
  /** A number that grows from item to item. */
  readonly key: number;
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  /** The label of the scope whose task it ran on. */
  readonly task: string | undefined;
  /** The label of the scope that it was started in, where that is not the scope of its task. */
  readonly parent: string | undefined;
  readonly openedAt: number;
  readonly duration: number;
  readonly parts: readonly ScopePart[];
  readonly outcome: ScopeOutcome;
  /** The error that it threw. */
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
  /** The number of open transactions and savepoints. */
  readonly depth: number;
  /** The process id on the server of each connection that it holds. */
  readonly connections: readonly number[];
  /** What the scope waits for now. */
  readonly waitsFor: 'connection' | 'statement' | undefined;
  readonly waitsSince: number | undefined;
  readonly statement: string | undefined;
  /** The line of code that opened its session. Known only with the option `leakAfter`. */
  readonly openedIn: string | undefined;
  readonly info: Readonly<Record<string, string>>;
}

export interface LiveScopes {
  readonly total: number;
  /** The oldest live scopes. */
  readonly scopes: readonly LiveScopeView[];
}

/** The use of a pool at a point in time. */
export type PoolSample = readonly [at: number, inUse: number, waiting: number, size: number];

export interface PoolView {
  readonly name: string;
  readonly max: number;
  readonly size: number;
  readonly idle: number;
  readonly inUse: number;
  readonly waiting: number;
  /** One sample per second, for the last five minutes. */
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
  /** The jobs that have ended per second, since the start of the run. */
  readonly rate: number;
  /** Estimated milliseconds until the end, at that rate. */
  readonly timeLeft: number | undefined;
  /** Its latest failures. */
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
  /** Why the queues could not be counted. */
  readonly error: string | undefined;
}

/** A misuse that was refused or warned of. */
export interface MisuseView {
  /** A number that grows from item to item. */
  readonly key: number;
  readonly at: number;
  readonly code: string;
  readonly scope: string;
  readonly message: string;
  readonly remedy: string;
}

/** Everything that the inspector shows. */
export interface InspectorState {
  readonly at: number;
  /** The number of ended scopes that are kept. */
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

/** The changes since the last message. A missing part has not changed. */
export interface InspectorChange {
  readonly at: number;
  /** Contains only the new samples. */
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
