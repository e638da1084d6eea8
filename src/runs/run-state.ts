/**
 * `pending`: waits for its turn. `running`. `done`: every job has ended; `failed` counts the jobs that threw.
 * `cancelled`: a client stopped it. `interrupted`: the process ended first, or the database could not be reached at the
 * start of the run.
 */
export const runStates = ['pending', 'running', 'done', 'cancelled', 'interrupted'] as const;

export type RunState = (typeof runStates)[number];

/** How a run ends. */
export type RunEnding = Exclude<RunState, 'pending' | 'running'>;
