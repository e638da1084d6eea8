/** The largest number of jobs of one run at once. */
export const JOB_CONNECTIONS = 32;

/**
 * The largest number of connections for the jobs of all runs. It is larger than that of one run, so that one run leaves
 * some for others.
 */
export const JOB_LANES = 40;

/**
 * The number of jobs of the queue that this process runs at once, each with a connection. pg-boss itself has a few more
 * connections.
 */
export const QUEUE_CONNECTIONS = 8;

/** The connections that are left for requests, however many jobs run. The worker threads have other connections. */
const REQUEST_CONNECTIONS = 8;

export const POOL_SIZE = JOB_LANES + QUEUE_CONNECTIONS + REQUEST_CONNECTIONS;
