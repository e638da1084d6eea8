/** The name of the connection whose pool the demo fills on purpose. */
export const SMALL_POOL = 'small-pool';

/** The size of the pool. It keeps no idle connections. */
export const SMALL_POOL_SIZE = 2;
