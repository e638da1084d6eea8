/** How a scope, or one of its sessions, ended. */
export type ScopeEnding =
  | 'returned'
  | 'threw'
  | 'responded'
  | 'disconnected'
  | 'disposed'
  | 'removed'
  | 'timeout'
  | 'aborted'
  | 'rolledBack';

const endings: Record<ScopeEnding, string> = {
  returned: 'it had returned',
  threw: 'it had thrown',
  responded: 'its response was sent',
  disconnected: 'its client had disconnected',
  disposed: 'it had been disposed',
  removed: 'it had been removed from its scope',
  timeout: 'its time was up',
  aborted: 'it had been aborted',
  rolledBack: 'its test had been rolled back',
};

export function describeEnding(ending: ScopeEnding): string {
  return endings[ending];
}

/** Whether the scope ended before its work ended. */
export function isCutShort(ending: ScopeEnding): boolean {
  return ending === 'timeout' || ending === 'aborted' || ending === 'disconnected';
}
