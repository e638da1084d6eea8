import type { BlockKind, Quality } from './program.js';

/** `own` is a session made with `SessionFactory.create()`. */
export type PartKind = BlockKind | 'request' | 'job' | 'own';

/** The error an action ended with, by name; missing when it ended well. */
interface Ended {
  readonly error?: string | undefined;
}

/** What happened in one part of a program: a request, a job, a block, or a session of its own. */
export type Happening =
  | {
      readonly event: 'planned';
      readonly kind: PartKind;
      readonly within?: number | undefined;
      readonly isManaged: boolean;
    }
  | { readonly event: 'entered' }
  | { readonly event: 'left'; readonly how: 'returned' | 'threw' }
  | ({ readonly event: 'reported' } & Ended)
  | { readonly event: 'create'; readonly tag: string; readonly quality: Quality }
  | ({ readonly event: 'insert'; readonly tag: string } & Ended)
  | ({ readonly event: 'flush' | 'wrong sql' | 'lose connection' | 'begin' | 'commit' | 'rollback' } & Ended)
  | ({ readonly event: 'cut statement' | 'cancel statement' | 'commit by hand' | 'lose the answer to commit' } & Ended)
  | { readonly event: 'black hole'; readonly at: 'statement' | 'commit' }
  | { readonly event: 'register' | 'committed' | 'rolled back'; readonly name: string }
  | { readonly event: 'read'; readonly found: readonly (readonly string[])[]; readonly errors: readonly string[] }
  | { readonly event: 'transactional entered' }
  | { readonly event: 'transactional left'; readonly how: 'returned' | 'threw' }
  | ({ readonly event: 'transactional reported'; readonly isEntered: boolean } & Ended);

export type Entry = Happening & { readonly part: number };

/** What happened in one run of a program, in the order it happened. */
export class Journal {
  readonly entries: Entry[] = [];
  /** What is wrong whatever else happens. */
  readonly complaints: string[] = [];
  #parts = 0;

  newPart(): number {
    return ++this.#parts;
  }

  note(part: number, happening: Happening): void {
    this.entries.push({ part, ...happening });
  }

  complain(part: number, what: string): void {
    this.complaints.push(`part ${part}: ${what}`);
  }

  toString(): string {
    return this.entries.map(({ part, event, ...rest }) => `${part} ${event} ${JSON.stringify(rest)}`).join('\n');
  }
}
