/** What a process that measures is told at its start. */
export interface SideSettings {
  readonly databaseUrl: string;
  readonly platform: 'express' | 'fastify';
  readonly injection: 'request' | 'contextual';
}

/** What it is told to do: so many, until that moment at most. */
export interface Order {
  readonly kind: 'scopes' | 'jobs' | 'heap' | 'end';
  readonly count: number;
  readonly deadline: number;
}

export interface Answer {
  readonly url?: string;
  readonly done?: number;
  /** Why an order was not obeyed. */
  readonly failure?: string;
  /** Megabytes, after a collection. */
  readonly heap?: number;
  /** Listeners and handles that stay when the application is closed. */
  readonly left?: readonly string[];
}
