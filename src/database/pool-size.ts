/** How many connections the jobs of all runs may hold. A run has no more jobs at once than that. */
export const JOB_CONNECTIONS = 32;

/** What is left to requests, however many jobs run. */
const REQUEST_CONNECTIONS = 8;

export const POOL_SIZE = JOB_CONNECTIONS + REQUEST_CONNECTIONS;
