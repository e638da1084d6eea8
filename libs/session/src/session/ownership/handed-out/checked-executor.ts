import { streamerOf } from '../../transaction/guard-streams.js';
import type { Owner } from './owner.js';

/** The object that sends the statements of a Kysely instance and of its builders. */
export interface Executor {
  readonly adapter: unknown;
  readonly plugins: readonly unknown[];
  transformQuery(node: unknown, queryId: unknown): unknown;
  compileQuery(node: unknown, queryId: unknown): unknown;
  executeQuery(query: unknown, options?: unknown): Promise<unknown>;
  provideConnection(consumer: unknown, options?: unknown): Promise<unknown>;
  stream(query: unknown, chunkSize: unknown, options?: unknown): AsyncIterator<unknown>;
  withConnectionProvider(provider: unknown): Executor;
  withPlugin(plugin: unknown): Executor;
  withPlugins(plugins: unknown): Executor;
  withPluginAtFront(plugin: unknown): Executor;
  withoutPlugins(): Executor;
}

/**
 * Checks before each statement that the session which handed it out may be used. Executors that are made of it check
 * too.
 */
export class CheckedExecutor implements Executor {
  constructor(
    private readonly executor: Executor,
    private readonly owner: Owner,
    /** The transaction of its statements, or the connection that is lent to it. */
    private readonly transaction: unknown,
  ) {}

  get adapter(): unknown {
    return this.executor.adapter;
  }

  get plugins(): readonly unknown[] {
    return this.executor.plugins;
  }

  transformQuery(node: unknown, queryId: unknown): unknown {
    return this.executor.transformQuery(node, queryId);
  }

  compileQuery(node: unknown, queryId: unknown): unknown {
    return this.executor.compileQuery(node, queryId);
  }

  async executeQuery(query: unknown, options?: unknown): Promise<unknown> {
    this.owner.assertUsable();
    return this.executor.executeQuery(query, options);
  }

  async provideConnection(consumer: unknown, options?: unknown): Promise<unknown> {
    this.owner.assertUsable();
    return this.executor.provideConnection(consumer, options);
  }

  stream(query: unknown, chunkSize: unknown, options?: unknown): AsyncIterator<unknown> {
    this.owner.assertUsable();
    const streamer = streamerOf(this.executor, this.transaction);
    return this.owner.read(streamer.stream(query, chunkSize, options), this.transaction);
  }

  withConnectionProvider(provider: unknown): Executor {
    return new CheckedExecutor(this.executor.withConnectionProvider(provider), this.owner, provider);
  }

  withPlugin(plugin: unknown): Executor {
    return this.#with(this.executor.withPlugin(plugin));
  }

  withPlugins(plugins: unknown): Executor {
    return this.#with(this.executor.withPlugins(plugins));
  }

  withPluginAtFront(plugin: unknown): Executor {
    return this.#with(this.executor.withPluginAtFront(plugin));
  }

  withoutPlugins(): Executor {
    return this.#with(this.executor.withoutPlugins());
  }

  #with(executor: Executor): Executor {
    return new CheckedExecutor(executor, this.owner, this.transaction);
  }
}
