/** What a worker process is told when it starts. */
export interface WorkerSettings {
  readonly name: string;
  readonly databaseUrl: string;
  readonly queue: 'work' | 'poison';
  readonly chunkSize: number;
  readonly prefetch: number;
}
