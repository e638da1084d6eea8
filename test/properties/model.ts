import type { Abilities } from './abilities.js';
import type { Entry } from './journal.js';
import { SessionModel } from './session-model.js';

/** What must be true after a program, given what its parts reported. */
export interface Verdict {
  /** Reports that contradict each other, or what the steps before them allow. */
  readonly complaints: readonly string[];
  /** The tags that must be in the table. */
  readonly committed: ReadonlySet<string>;
  /** The tags that may be in the table. */
  readonly unknown: ReadonlySet<string>;
}

/** Follows the journal of one run. Every tag that is in neither set must not be in the table. */
export function judge(entries: readonly Entry[], abilities: Abilities): Verdict {
  const parts = new Map<number, SessionModel>();
  const complaints: string[] = [];
  const unknown = new Set<string>();
  /** The parts that may have been in a deadlock since their last entry. */
  const suspects = new Set<number>();
  for (const entry of entries) {
    const { part } = entry;
    if (entry.event === 'planned') {
      const { kind, within, isManaged } = entry;
      const complain = (what: string): number => complaints.push(`part ${part} (${kind}): ${what}`);
      const mayBeStuck = (): boolean => suspects.has(part);
      parts.set(part, new SessionModel(kind, within, isManaged, { abilities, unknown, complain, mayBeStuck }));
    }
    parts.get(part)?.follow(entry);
    suspects.delete(part);
    if (isDeadlock(parts, abilities.poolSize)) {
      [...parts.keys()].forEach((each) => suspects.add(each));
    }
  }
  for (const [part, { isOver, kind }] of parts) {
    if (!isOver) {
      complaints.push(`part ${part} (${kind}): never reported`);
    }
  }
  parts.forEach((part) => part.judgeCallbacks());
  const committed = new Set([...parts.values()].flatMap((part) => part.committed));
  return { complaints, committed, unknown };
}

/** Whether there are enough transactions whose part, or one that was started in it, may wait for a connection. */
function isDeadlock(parts: ReadonlyMap<number, SessionModel>, poolSize: number): boolean {
  const waiting = new Set<number>();
  for (const [part, { mayWait }] of parts) {
    for (
      let each: number | undefined = mayWait ? part : undefined;
      each !== undefined;
      each = parts.get(each)?.within
    ) {
      waiting.add(each);
    }
  }
  const isStuck = ([part, { kind, within }]: [number, SessionModel]): boolean =>
    waiting.has(kind === 'own' && within !== undefined ? within : part);
  return [...parts].filter((entry) => entry[1].mayHoldConnection && isStuck(entry)).length >= poolSize;
}
