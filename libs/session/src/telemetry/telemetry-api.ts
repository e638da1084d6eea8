import type { ProxyTracerProvider, Tracer, TracerProvider } from '@opentelemetry/api';

export type TelemetryApi = Pick<
  typeof import('@opentelemetry/api'),
  'context' | 'metrics' | 'ROOT_CONTEXT' | 'SpanKind' | 'SpanStatusCode' | 'trace'
>;

/** The instrumentation scope of the spans and metrics of this library. */
export const INSTRUMENTATION = 'nestjs-mikro-session';

/** Returns OpenTelemetry's API. Undefined where the application does not have it. */
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

/** Returns a tracer. Undefined where the application has only the API, and nothing collects spans. */
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
