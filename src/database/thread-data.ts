/** The data that the main application sends to its worker threads. */
export interface ThreadData {
  readonly databaseUrl: string;
  readonly instanceId: string;
}
