import type { ProxyTracerProvider, Tracer, TracerProvider } from '@opentelemetry/api';

export type TelemetryApi = Pick<
  typeof import('@opentelemetry/api'),
  'context' | 'metrics' | 'ROOT_CONTEXT' | 'SpanKind' | 'SpanStatusCode' | 'trace'
>;

/** Under which spans and counters are told apart from those of other libraries. */
export const INSTRUMENTATION = 'nestjs-mikro-session';

/** Returns OpenTelemetry's API where the application has it. */
export async function loadTelemetryApi(): Promise<TelemetryApi | undefined> {
  try {
    return await import('@opentelemetry/api');
  } catch (error) {
    if (isNotFound(error)) {
      return undefined;
    }
    throw error;
  }
}

/** Returns a tracer, unless the application has the API alone and nobody collects spans. */
export function getTracer({ trace }: TelemetryApi): Tracer | undefined {
  const provider = trace.getTracerProvider() as TracerProvider & Partial<ProxyTracerProvider>;
  return provider.getDelegateTracer === undefined
    ? provider.getTracer(INSTRUMENTATION)
    : provider.getDelegateTracer(INSTRUMENTATION);
}

function isNotFound(error: unknown): boolean {
  const { code, message } = error as Partial<NodeJS.ErrnoException>;
  return (
    (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && message?.includes('@opentelemetry/api') === true
  );
}
