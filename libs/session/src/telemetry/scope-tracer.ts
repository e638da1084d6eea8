import type { MikroORM } from '@mikro-orm/core';
import type { Attributes, Context, Span, Tracer } from '@opentelemetry/api';

import type { LiveScope } from '../session/scope/live-scope.js';
import type { ScopeObserver } from '../session/scope/scope-observer.js';
import { getDatabaseAttributes, getEndingAttributes, getScopeAttributes, getSpanName } from './get-scope-attributes.js';
import { describeException } from './describe-exception.js';
import { getTracer, type TelemetryApi } from './telemetry-api.js';

interface Traced {
  readonly span: Span;
  /** The span that was active where this one began. */
  readonly around: Span | undefined;
  /** Whether the span ends with the work of the scope. Other spans end when the scope has no session any more. */
  readonly isRun: boolean;
  hasDatabase: boolean;
}

interface Start {
  readonly tracer: Tracer;
  readonly parent: Context;
  readonly isRun: boolean;
}

/**
 * Makes a span per scope. The span of a job or block is active while it runs. The span of a request begins with its
 * first session and is never active: attributes that the application sets on the active span belong to the span of the
 * HTTP server.
 */
export class ScopeTracer implements ScopeObserver {
  readonly #api: TelemetryApi;
  readonly #traced = new WeakMap<LiveScope, Traced>();
  readonly #origins = new WeakMap<LiveScope, Context>();
  readonly #databases = new WeakMap<MikroORM, Attributes>();

  constructor(api: TelemetryApi) {
    this.#api = api;
  }

  entered(scope: LiveScope): void {
    const origin = this.#api.context.active();
    if (origin !== this.#api.ROOT_CONTEXT) {
      this.#origins.set(scope, origin);
    }
  }

  run<Result>(scope: LiveScope, work: () => Promise<Result>): Promise<Result> {
    const { context, trace } = this.#api;
    const tracer = getTracer(this.#api);
    if (tracer === undefined) {
      return work();
    }
    const parent = this.#findParent(scope);
    const { span } = this.#start(scope, { tracer, parent, isRun: true });
    return context.with(trace.setSpan(parent, span), () => this.#endAfter(scope, span, work));
  }

  opened(scope: LiveScope, orm: MikroORM): void {
    const traced = this.#traced.get(scope) ?? this.#startFound(scope);
    if (traced?.hasDatabase === false) {
      traced.hasDatabase = true;
      traced.span.setAttributes(this.#databaseOf(orm));
    }
  }

  closed(scope: LiveScope): void {
    const traced = this.#traced.get(scope);
    if (traced?.isRun === false) {
      this.#traced.delete(scope);
      this.#end(scope, traced.span);
    }
  }

  async #endAfter<Result>(scope: LiveScope, span: Span, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      const { type, exception } = describeException(error);
      span.recordException(exception);
      span.setStatus({
        code: this.#api.SpanStatusCode.ERROR,
        ...(typeof exception !== 'string' && { message: exception.message }),
      });
      span.setAttribute('error.type', type);
      throw error;
    } finally {
      this.#end(scope, span);
    }
  }

  #startFound(scope: LiveScope): Traced | undefined {
    const tracer = getTracer(this.#api);
    return tracer && this.#start(scope, { tracer, parent: this.#findParent(scope), isRun: false });
  }

  #start(scope: LiveScope, { tracer, parent, isRun }: Start): Traced {
    const { SpanKind, trace } = this.#api;
    const span = tracer.startSpan(
      getSpanName(scope),
      {
        kind: scope.kind === 'job' ? SpanKind.CONSUMER : SpanKind.INTERNAL,
        attributes: getScopeAttributes(scope),
      },
      parent,
    );
    const traced = { span, around: trace.getSpan(parent), isRun, hasDatabase: false };
    this.#traced.set(scope, traced);
    return traced;
  }

  #end(scope: LiveScope, span: Span): void {
    if (scope.ending !== undefined) {
      span.setAttributes(getEndingAttributes(scope.ending));
    }
    span.end();
  }

  /**
   * Returns the context of the parent span: the active span, or the span of the request around the scope where it has
   * one.
   */
  #findParent(scope: LiveScope): Context {
    const { context, trace } = this.#api;
    const active = this.#origins.get(scope) ?? context.active();
    const outer = scope.startedIn === undefined ? undefined : this.#traced.get(scope.startedIn);
    return outer !== undefined && outer.around === trace.getSpan(active) ? trace.setSpan(active, outer.span) : active;
  }

  #databaseOf(orm: MikroORM): Attributes {
    const known = this.#databases.get(orm) ?? getDatabaseAttributes(orm);
    this.#databases.set(orm, known);
    return known;
  }
}
