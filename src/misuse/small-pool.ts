/** The name of the connection whose pool the demo fills on purpose. */
export const SMALL_POOL = 'small-pool';

/** How many connections it has at most. It keeps none that is idle. */
export const SMALL_POOL_SIZE = 2;
