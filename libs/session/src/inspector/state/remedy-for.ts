/** The remedy for each misuse, in one sentence. The documentation says more. */
export const remedies: Readonly<Record<string, string>> = {
  SESSION_OWNERSHIP:
    'A session belongs to one task. Inject one with @InjectSession(), or open one with SessionFactory.run(). Hand over ids, not sessions.',
  ENTITY_OWNERSHIP: 'Load the entity in the session that is to use it, by its primary key.',
  CONCURRENT_SESSION_USE:
    'Await the first call, or give each branch a session of its own with SessionFactory.begin() or JobService.',
  SESSION_CLOSED: 'Await everything that uses a session within its scope, or open a scope of its own for it.',
  SESSION_POOL_DEADLOCK:
    'Use the session of the open transaction, read a stream to its end before the next one, or make the pool larger.',
  UNFLUSHED_CHANGES: 'Call session.flush() before the end, or do the work in SessionFactory.begin().',
  LEAK: 'Find what the scope waits for. Give the work a time limit, and end what you have begun with begin() or open().',
  HELD_IDLE: 'Call other services before the transaction begins, or after it has ended.',
};

export function remedyFor(code: string): string {
  return remedies[code] ?? 'See the message.';
}
