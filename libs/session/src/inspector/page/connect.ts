import type { InspectorChange, InspectorState } from '../state/inspector-state.js';
import { applyChange, applyState, connection } from './store.js';

/** The address of the inspector, with the path that a proxy has given it. */
const root = new URL('./', import.meta.url);

/** Follows the events of the server. The browser connects again by itself, unless the server refused. */
export function connect(): void {
  const events = new EventSource(new URL('events', root));
  events.addEventListener('open', () => {
    connection.value = 'open';
  });
  events.addEventListener('error', () => {
    connection.value = events.readyState === EventSource.CLOSED ? 'refused' : 'lost';
  });
  events.addEventListener('state', ({ data }: MessageEvent<string>) => applyState(JSON.parse(data) as InspectorState));
  events.addEventListener('change', ({ data }: MessageEvent<string>) =>
    applyChange(JSON.parse(data) as InspectorChange),
  );
}

/** Ends a scope before its work ends. Returns a message for the user. */
export async function endScope(id: string): Promise<string> {
  const response = await fetch(new URL(`scopes/${encodeURIComponent(id)}/end`, root), {
    method: 'POST',
    headers: { 'x-session-inspector': '1' },
  });
  if (response.ok) {
    return 'The scope was ended.';
  }
  return response.status === 404 ? 'The scope had already ended.' : `The server refused: ${response.status}.`;
}
