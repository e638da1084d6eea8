import type { OnApplicationShutdown } from '@nestjs/common';

import type { ScopeStorage } from '../session/scope/scope-storage.js';
import type { SessionSource } from '../session/session-source.js';
import { countConnections } from './count-connections.js';
import { countOpenScopes } from './count-open-scopes.js';
import { ScopeTracer } from './scope-tracer.js';
import { loadTelemetryApi } from './telemetry-api.js';

/** Traces and counts the scopes of an application that uses @opentelemetry/api. Costs nothing without it. */
export class SessionTelemetry implements OnApplicationShutdown {
  readonly #stop: () => void;

  private constructor(stop: () => void) {
    this.#stop = stop;
  }

  static async start(storage: ScopeStorage, findSources: () => readonly SessionSource[]): Promise<SessionTelemetry> {
    const api = await loadTelemetryApi();
    if (api === undefined) {
      return new SessionTelemetry(() => undefined);
    }
    storage.live.observe(new ScopeTracer(api));
    const stops = [countOpenScopes(api, storage.live), countConnections(api, findSources)];
    return new SessionTelemetry(() => stops.forEach((stop) => stop()));
  }

  onApplicationShutdown(): void {
    this.#stop();
  }
}
