declare module 'nestjs-mikro-session/pg-boss' {
  interface QueueInputs {
    factorisations: number;
    'lost-factorisations': number;
  }
}

/** The numbers that are to be factorised. */
export const FACTORISATIONS = 'factorisations';

/** Those whose job could not be brought to an end. */
export const LOST_FACTORISATIONS = 'lost-factorisations';
