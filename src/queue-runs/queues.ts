declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    factorisations: number;
    'lost-factorisations': number;
  }
}

/** The queue of the numbers to factorise. */
export const FACTORISATIONS = 'factorisations';

/** The queue of the numbers whose job never ended. */
export const LOST_FACTORISATIONS = 'lost-factorisations';
