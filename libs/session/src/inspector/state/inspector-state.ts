/** How a scope ended. `done`: without an error and without a transaction. */
export type ScopeOutcome = 'committed' | 'rolledBack' | 'done' | 'failed' | 'timeout' | 'aborted' | 'disconnected';

/** A part of the life of a scope, in milliseconds since it was opened. */
export type ScopePart = readonly [kind: 'waiting' | 'transaction', from: number, to: number];

/** A scope that has ended. Times are milliseconds. Points in time count from 1970. */
export interface EndedScope {
  /** A number that grows from item to item. */
  readonly key: number;
  /** A random UUID. */
  readonly id: string;
  /** What opened the scope: see `ScopeKind`. */
  readonly kind: string;
  /** The name of the scope for people: `GET /users`. */
  readonly label: string;
  /** The label of the scope whose task it ran on. */
  readonly task: string | undefined;
  /** The label of the scope that it was started in, where that is not the scope of its task. */
  readonly parent: string | undefined;
  /** When it was opened. */
  readonly openedAt: number;
  /** Milliseconds from its opening to its end. */
  readonly duration: number;
  /** The parts in which it waited for a connection, or had a transaction open. */
  readonly parts: readonly ScopePart[];
  /** How it ended. */
  readonly outcome: ScopeOutcome;
  /** The error that it threw. */
  error?: string;
}

/** A scope that has a session now. */
export interface LiveScopeView {
  /** A random UUID. */
  readonly id: string;
  /** What opened the scope: see `ScopeKind`. */
  readonly kind: string;
  /** The name of the scope for people: `GET /users`. */
  readonly label: string;
  /** `open`, or `closing` while its sessions are closed. */
  readonly state: string;
  /** When it was opened. */
  readonly openedAt: number;
  /** The label of the scope whose task it runs on. */
  readonly task: string | undefined;
  /** The label of the scope that it was started in, where that is not the scope of its task. */
  readonly parent: string | undefined;
  /** The number of entities that its sessions manage. */
  readonly entities: number;
  /** The number of entities that wait for a flush. */
  readonly unflushed: number;
  /** `begun`: without a connection, before its first statement. `failed`: can only be rolled back. */
  readonly transaction: 'none' | 'begun' | 'open' | 'failed';
  /** The number of open transactions and savepoints. */
  readonly depth: number;
  /** The process id on the server of each connection that it holds. 0 where there is no server, as with SQLite. */
  readonly connections: readonly number[];
  /** What the scope waits for now. */
  readonly waitsFor: 'connection' | 'statement' | undefined;
  /** When that wait began. */
  readonly waitsSince: number | undefined;
  /** The text of the statement, with its values only with the option `values`. */
  readonly statement: string | undefined;
  /** The line of code that opened its session. Known only with the option `leakAfter`. */
  readonly openedIn: string | undefined;
  /** The `info` of the scope, as text. */
  readonly info: Readonly<Record<string, string>>;
}

/** The scopes that have a session now. */
export interface LiveScopes {
  /** The number of all live scopes. */
  readonly total: number;
  /** The oldest live scopes. */
  readonly scopes: readonly LiveScopeView[];
}

/** The use of a pool at a point in time. */
export type PoolSample = readonly [at: number, inUse: number, waiting: number, size: number];

/** A pool of connections. */
export interface PoolView {
  /** The name of the connection of MikroORM. */
  readonly name: string;
  /** The largest number of connections. Undefined where there is no limit. */
  readonly max: number | undefined;
  /** The number of open connections. */
  readonly size: number;
  /** The number of idle connections. */
  readonly idle: number;
  /** The number of connections in use. */
  readonly inUse: number;
  /** The number of callers that wait for a connection. */
  readonly waiting: number;
  /** One sample per second, for the last five minutes. */
  readonly samples: readonly PoolSample[];
}

/** A failed job of a run. */
export interface RunFailure {
  /** The position of its input. */
  readonly index: number;
  /** Why it was rejected: see `JobEnding`. */
  readonly ending: string;
  /** The message of its error. */
  readonly message: string;
}

/** A run of JobService. */
export interface RunView {
  /** Counts the runs of the process. */
  readonly id: number;
  /** The name of its jobs. */
  readonly label: string;
  /** The number of inputs, where it is known in advance. */
  readonly total: number | undefined;
  /** The number of chunks that run at once. */
  readonly lanes: number;
  /** The number of jobs that succeeded. */
  readonly done: number;
  /** The number of jobs that failed. */
  readonly failed: number;
  /** When the run began. */
  readonly startedAt: number;
  /** When the run ended. */
  readonly endedAt: number | undefined;
  /** The jobs that have ended per second, since the start of the run. */
  readonly rate: number;
  /** Estimated milliseconds until the end, at that rate. */
  readonly timeLeft: number | undefined;
  /** Its latest failures. */
  readonly failures: readonly RunFailure[];
}

/** The number of jobs in a durable queue, by their state. */
export interface QueueView {
  /** The name of the queue. */
  readonly name: string;
  /** Jobs that could run now. */
  readonly ready: number;
  /** Jobs that run now. */
  readonly active: number;
  /** Jobs whose time has not come yet. */
  readonly deferred: number;
  /** Jobs that have failed for good. */
  readonly failed: number;
  /** Jobs that were completed per second, over the last minute. */
  readonly rate: number;
  /** The queue that gets the failed jobs. */
  readonly deadLetter: string | undefined;
}

/** The durable queues of the application. */
export interface QueuesView {
  /** One entry per queue. */
  readonly queues: readonly QueueView[];
  /** Why the queues could not be counted. */
  readonly error: string | undefined;
}

/** A misuse that was refused or warned of. */
export interface MisuseView {
  /** A number that grows from item to item. */
  readonly key: number;
  /** When it happened. */
  readonly at: number;
  /** The `code` of its error, or the kind of the warning. */
  readonly code: string;
  /** The label of the scope that it concerns. */
  readonly scope: string;
  /** The message of the error or warning. */
  readonly message: string;
  /** What to do about it, in one sentence. */
  readonly remedy: string;
}

/** Everything that the inspector shows. */
export interface InspectorState {
  /** The time of the server. */
  readonly at: number;
  /** The number of ended scopes that are kept. */
  readonly history: number;
  /** Whether scopes can be ended from the page. */
  readonly actions: boolean;
  /** The pools of all connections. */
  readonly pools: readonly PoolView[];
  /** The scopes that have a session now. */
  readonly live: LiveScopes;
  /** The oldest first. */
  readonly ended: readonly EndedScope[];
  /** The unfinished and the last ended runs of JobService. */
  readonly runs: readonly RunView[];
  /** Undefined where the application has no durable jobs. */
  readonly queues: QueuesView | undefined;
  /** The last misuses, the oldest first. */
  readonly misuse: readonly MisuseView[];
}

/** The changes since the last message. A missing part has not changed. */
export interface InspectorChange {
  /** The time of the server. */
  readonly at: number;
  /** Contains only the new samples. */
  readonly pools?: readonly PoolView[];
  /** The live scopes that are new or changed, and the ids of those that have ended. */
  readonly live?: {
    readonly total: number;
    readonly changed: readonly LiveScopeView[];
    readonly gone: readonly string[];
  };
  /** The scopes that have ended. */
  readonly ended?: readonly EndedScope[];
  /** The runs that have changed. */
  readonly runs?: readonly RunView[];
  /** The new count of the queues. */
  readonly queues?: QueuesView;
  /** The new misuses. */
  readonly misuse?: readonly MisuseView[];
}
