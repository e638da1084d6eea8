/** @module nestjs-mikro-session/inspector */
export type { SessionInspectorOptions, SessionInspectorOptionsFactory } from './session-inspector-options.js';
export { SessionInspectorModule } from './session-inspector.module.js';
export type {
  EndedScope,
  InspectorChange,
  InspectorState,
  LiveScopeView,
  LiveScopes,
  MisuseView,
  PoolSample,
  PoolView,
  QueuesView,
  QueueView,
  RunFailure,
  RunView,
  ScopeOutcome,
  ScopePart,
} from './state/inspector-state.js';
