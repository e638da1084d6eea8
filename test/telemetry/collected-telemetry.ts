import type { Server } from 'node:http';

import { context, metrics, type Span, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';

/** Collects the spans and metrics of this process, as an application with OpenTelemetry's SDK would. */
export class CollectedTelemetry {
  readonly #spans = new InMemorySpanExporter();
  readonly #metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  readonly #reader = new PeriodicExportingMetricReader({ exporter: this.#metrics, exportIntervalMillis: 3_600_000 });
  readonly #tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(this.#spans)] });
  readonly #meters = new MeterProvider({ readers: [this.#reader] });

  start(): void {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    trace.setGlobalTracerProvider(this.#tracers);
    metrics.setGlobalMeterProvider(this.#meters);
  }

  async stop(): Promise<void> {
    await this.#meters.shutdown();
    await this.#tracers.shutdown();
    trace.disable();
    metrics.disable();
    context.disable();
  }

  /** Makes a span per request, in which the server handles it: what the instrumentation of node:http does. */
  traceServer(server: Server): void {
    const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean;
    server.emit = (event: string, ...args: unknown[]) => {
      if (event !== 'request') {
        return emit(event, ...args);
      }
      return trace.getTracer('http').startActiveSpan('HTTP', (span: Span) => {
        (args[1] as NodeJS.EventEmitter).once('close', () => span.end());
        return emit(event, ...args);
      });
    };
  }

  get spans(): readonly ReadableSpan[] {
    return this.#spans.getFinishedSpans();
  }

  forget(): void {
    this.#spans.reset();
  }

  /** Draws the spans as a tree: each with its children, in the order in which they began. */
  tree(parent?: ReadableSpan): unknown {
    const children = this.spans
      .filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent?.spanContext().spanId)
      .toSorted((a, b) => a.startTime[0] - b.startTime[0] || a.startTime[1] - b.startTime[1]);
    return Object.fromEntries(children.map((span) => [span.name, this.tree(span)]));
  }

  /** Returns the values of a counter by one attribute. */
  async counter(name: string, attribute: string): Promise<Record<string, number>> {
    await this.#reader.forceFlush();
    const metric = this.#metrics
      .getMetrics()
      .at(-1)
      ?.scopeMetrics.flatMap((scope) => scope.metrics)
      .find(({ descriptor }) => descriptor.name === name);
    return Object.fromEntries(
      (metric?.dataPoints ?? []).map(({ attributes, value }) => [String(attributes[attribute]), Number(value)]),
    );
  }
}
