/** How many jobs a run may have at once. */
export const JOB_CONNECTIONS = 32;

/** How many connections the jobs of all runs may hold: some more, so that a run that has all of its own leaves some. */
export const JOB_LANES = 40;

/** How many jobs of the queue this process runs at once, each with a connection. pg-boss has a few more of its own. */
export const QUEUE_CONNECTIONS = 8;

/** What is left to requests, however many jobs run. The threads of large numbers have connections beside all these. */
const REQUEST_CONNECTIONS = 8;

export const POOL_SIZE = JOB_LANES + QUEUE_CONNECTIONS + REQUEST_CONNECTIONS;
