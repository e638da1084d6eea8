import { type EntityManager, helper } from '@mikro-orm/postgresql';
import { EntityOwnershipError, SessionOwnershipError } from 'nestjs-mikro-session';

import type { Abilities } from './abilities.js';
import { nameOf } from './error-name.js';
import type { Happening, Journal } from './journal.js';
import { Mark } from './mark.entity.js';
import type { Place } from './place.js';
import type { ProgramApp } from './program-app.js';
import type { Action, Quality, Route } from './program.js';

/**
 * The tag of the row that is in the table from the start. It comes before all others: MariaDB locks the gap before a tag
 * that was found to be taken, in which others would wait to insert.
 */
export const TAKEN = '0 taken';

export interface RunOptions {
  /** Distinguishes the tags of this run from those of every other. */
  readonly name: string;
  readonly abilities: Abilities;
  /** Asks the database from outside of the application. */
  observe(sql: string): Promise<unknown>;
  /** Ends the connection that runs the statements of an EntityManager, from outside. */
  terminate(em: EntityManager): Promise<unknown>;
}

type Leaf = Exclude<
  Action,
  { readonly do: 'pause' | 'throw' | 'cancel' | 'block' | 'parallel' | 'jobs' | 'transactional' | 'own' | 'black hole' }
>;

type Attempt =
  | 'flush'
  | 'wrong sql'
  | 'lose connection'
  | 'cut statement'
  | 'cancel statement'
  | 'commit by hand'
  | 'lose the answer to commit'
  | 'begin'
  | 'commit'
  | 'rollback';

/** Does the steps that concern one session alone. */
export class SessionSteps {
  readonly #app: ProgramApp;
  readonly #journal: Journal;
  readonly #name: string;
  readonly #options: RunOptions;
  readonly #owners = new WeakMap<Mark, EntityManager>();
  #tags = 0;
  #registrations = 0;

  constructor(app: ProgramApp, journal: Journal, options: RunOptions) {
    this.#options = options;
    this.#app = app;
    this.#journal = journal;
    this.#name = options.name;
  }

  /** Complains unless every way to the session leads to the same. */
  assertOneSession(place: Place): void {
    const { context, orm } = this.#app;
    const ids = [place.given, context.current, orm.em, place.injected ?? place.given].map((em) => em.id);
    if (new Set(ids).size > 1 || context.current !== place.session) {
      this.#journal.complain(place.part, `reached the sessions ${ids.join()}`);
    }
  }

  async perform(place: Place, action: Leaf): Promise<void> {
    switch (action.do) {
      case 'create':
        return this.#create(place, action.quality, action.via);
      case 'insert':
        return this.#insert(place, action.via);
      case 'flush':
        return this.#attempt(place, 'flush', () => this.#session(place, action.via).flush());
      case 'flush twice at once':
        return this.#flushTwice(place);
      case 'read':
        return this.#read(place, action.times, action.via);
      case 'wrong sql':
        return this.#attempt(place, 'wrong sql', () => place.given.execute('select nothing from nowhere'));
      case 'lose connection':
        return this.#loseConnection(place);
      case 'cut statement':
      case 'cancel statement':
        return this.#attempt(place, action.do, () => place.given.execute(this.#options.abilities.endedBy[action.do]));
      case 'commit by hand':
        return this.#commitByHand(place);
      case 'lose the answer to commit':
        return this.#loseAnswerToCommit(place);
      case 'register':
        return this.#register(place);
      case 'begin':
        return this.#attempt(place, 'begin', () => place.given.begin());
      case 'commit':
        return this.#attempt(place, 'commit', () => place.given.commit());
      case 'rollback':
        return this.#attempt(place, 'rollback', () => place.given.rollback());
      case 'steal':
        return this.#steal(place);
      case 'trespass':
        return this.#trespass(place);
    }
  }

  #session(
    { given, injected }: Place,
    via: Route,
  ): Pick<EntityManager, 'create' | 'persist' | 'insert' | 'flush' | 'find'> {
    switch (via) {
      case 'given':
        return given;
      case 'context':
        return this.#app.context.current;
      case 'orm':
        return this.#app.orm.em;
      case 'injected':
        return injected ?? given;
    }
  }

  #newTag({ part }: Place): string {
    this.#tags += 1;
    return `${this.#prefix(part)}${this.#tags}`;
  }

  #prefix(part: number): string {
    return `${this.#name}.${part}.`;
  }

  #create(place: Place, quality: Quality, via: Route): void {
    const tag = this.#newTag(place);
    const session = this.#session(place, via);
    const mark = new Mark();
    switch (quality) {
      case 'incomplete':
        break;
      case 'taken':
        mark.tag = TAKEN;
        break;
      case 'late':
        mark.late = TAKEN;
        mark.tag = tag;
        break;
      case 'good':
        mark.tag = tag;
    }
    session.persist(mark);
    this.#own(place, mark);
    place.marks.push(mark);
    this.#journal.note(place.part, { event: 'create', tag, quality });
  }

  async #insert(place: Place, via: Route): Promise<void> {
    const tag = this.#newTag(place);
    const error = await failure(() => this.#session(place, via).insert(Mark, { tag }));
    this.#journal.note(place.part, { event: 'insert', tag, error: error && nameOf(error.cause) });
    throwIf(error);
  }

  async #attempt(place: Place, event: Attempt, work: () => Promise<unknown>): Promise<void> {
    const error = await failure(work);
    this.#journal.note(place.part, { event, error: error && nameOf(error.cause) } satisfies Happening);
    throwIf(error);
  }

  /** Ends the connection of the open transaction from outside, as a restart of the database would. */
  async #loseConnection(place: Place): Promise<void> {
    const { given } = place;
    if (!given.isInTransaction()) {
      return;
    }
    await this.#attempt(place, 'lose connection', async () => {
      await this.#options.terminate(given);
      await given.execute('select 1');
    });
  }

  async #commitByHand(place: Place): Promise<void> {
    if (place.given.isInTransaction()) {
      await this.#attempt(place, 'commit by hand', () => place.given.execute('commit'));
    }
  }

  /** Lets the connection of the open transaction end when its COMMIT is done and not yet answered. */
  async #loseAnswerToCommit(place: Place): Promise<void> {
    const { given } = place;
    const { faults } = this.#app;
    if (given.isInTransaction() && faults !== undefined) {
      await this.#attempt(place, 'lose the answer to commit', () => faults.cutAtCommit((sql) => given.execute(sql)));
    }
  }

  /** Registers a callback for either end of the transaction. */
  #register({ part }: Place): void {
    const { context } = this.#app;
    const { scope } = context;
    this.#registrations += 1;
    const name = `${part}.${this.#registrations}`;
    const note = (event: 'committed' | 'rolled back'): void => {
      this.#journal.note(part, { event, name });
      if (context.scope === scope) {
        this.#journal.complain(part, `callback ${name} ran in the scope that registered it`);
      }
    };
    context.afterCommit(() => note('committed'));
    context.afterRollback(() => note('rolled back'));
    this.#journal.note(part, { event: 'register', name });
  }

  async #flushTwice(place: Place): Promise<void> {
    const [first, second] = [place.given.flush(), failure(() => this.#app.orm.em.flush())];
    const [refusal] = await Promise.all([second, this.#attempt(place, 'flush', () => first).catch(() => undefined)]);
    const name = refusal && nameOf(refusal.cause);
    if (name !== 'ConcurrentSessionUseError') {
      this.#journal.complain(place.part, `a second flush at once was ${name ?? 'accepted'}`);
    }
    await first;
  }

  async #read(place: Place, times: number, via: Route): Promise<void> {
    const { part } = place;
    const results = await Promise.allSettled(
      Array.from({ length: times }, () =>
        this.#session(place, via).find(Mark, { tag: { $like: `${this.#prefix(part)}%` } }),
      ),
    );
    const found: string[][] = [];
    const errors: unknown[] = [];
    for (const result of results) {
      if (result.status === 'rejected') {
        errors.push(result.reason);
      } else {
        found.push(result.value.map(({ tag }) => tag));
        result.value.forEach((mark) => this.#own(place, mark));
      }
    }
    this.#journal.note(part, { event: 'read', found, errors: errors.map(nameOf) });
    throwIf(errors.length === 0 ? undefined : { cause: errors[0] });
  }

  /** An entity belongs to the first session that it is seen in. */
  #own({ session, part }: Place, mark: Mark): void {
    const owner = this.#owners.get(mark) ?? session;
    this.#owners.set(mark, owner);
    if (owner !== session) {
      this.#journal.complain(part, `got the entity "${mark.tag}" of another session`);
    }
  }

  /** Tries to persist an entity of a session around this one. */
  #steal(place: Place): void {
    for (let { outer } = place; outer !== undefined; outer = outer.outer) {
      const mark = outer.marks.at(-1);
      if (mark !== undefined && !outer.life.isOver && outer.session !== place.session && isHeld(mark, outer.session)) {
        this.#mustThrow(place, EntityOwnershipError, () => place.given.persist(mark));
        return;
      }
    }
  }

  /** Tries to use the session of the task that started this one. */
  #trespass(place: Place): void {
    const { startedIn } = place.line;
    if (startedIn !== undefined && !startedIn.life.isOver) {
      this.#mustThrow(place, SessionOwnershipError, () => startedIn.session.isInTransaction());
    }
  }

  #mustThrow({ part }: Place, expected: new (...args: never[]) => Error, work: () => unknown): void {
    let got = 'nothing';
    try {
      work();
    } catch (error) {
      if (error instanceof expected) {
        return;
      }
      got = nameOf(error);
    }
    this.#journal.complain(part, `${got} was thrown instead of ${expected.name}`);
  }
}

async function failure(work: () => Promise<unknown>): Promise<{ readonly cause: unknown } | undefined> {
  try {
    await work();
    return undefined;
  } catch (cause) {
    return { cause };
  }
}

function throwIf(error: { readonly cause: unknown } | undefined): void {
  if (error !== undefined) {
    throw error.cause;
  }
}

/** MikroORM lets go of what a failed flush was to insert, also when the session goes on. */
function isHeld(mark: Mark, session: EntityManager): boolean {
  return helper(mark).__em !== undefined || session.getUnitOfWork(false).getPersistStack().has(mark);
}
