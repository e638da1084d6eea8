import { once } from 'node:events';

import type { EntityManager } from '@mikro-orm/postgresql';
import { type Scope, SessionClosedError } from 'nestjs-mikro-session';

import { nameOf } from './error-name.js';
import { Journal, type PartKind } from './journal.js';
import type { Line, Place } from './place.js';
import { type Enter, PartWorker, type ProgramApp } from './program-app.js';
import type { Block, Jobs, Program, Request, Step } from './program.js';
import { type RunOptions, SessionSteps } from './session-steps.js';

interface PartOptions {
  readonly kind: PartKind;
  readonly steps: readonly Step[];
  readonly line: Line;
  readonly outer?: Place | undefined;
  readonly isManaged?: boolean;
}

/** A part of the program, from its plan to its report. */
interface Part extends PartOptions {
  readonly number: number;
  readonly enter: Enter;
  place?: Place;
  thrown?: { readonly error: unknown };
}

const mainLine: Line = { startedIn: undefined, cancel: async () => undefined };

/** Runs one program in the application and keeps the journal. */
export class Interpreter {
  readonly journal = new Journal();
  /** Every session that was seen. */
  readonly sessions = new Map<EntityManager, number>();
  readonly #options: RunOptions;
  readonly #app: ProgramApp;
  readonly #steps: SessionSteps;
  readonly #scopes = new Set<string>();
  readonly #running = new Set<Promise<unknown>>();
  #nextBeat: Promise<void> | undefined;

  constructor(app: ProgramApp, options: RunOptions) {
    this.#app = app;
    this.#options = options;
    this.#steps = new SessionSteps(app, this.journal, options);
  }

  /** Settles when all that the program started has, also what the program itself did not wait for. */
  async run(program: Program): Promise<void> {
    for (const task of program) {
      void this.#track(this.#start(task)).catch(() => undefined);
    }
    while (this.#running.size > 0) {
      await Promise.allSettled(this.#running);
    }
  }

  #start(task: Request | Block | Jobs): Promise<unknown> {
    switch (task.kind) {
      case 'request':
        return this.#request(task);
      case 'jobs':
        return this.#jobs(task, undefined);
      default:
        return this.#block(task, undefined);
    }
  }

  async #request({ steps }: Request): Promise<void> {
    const client = new AbortController();
    const entered = Promise.withResolvers<Scope>();
    const handled = Promise.withResolvers<void>();
    const line: Line = {
      startedIn: undefined,
      cancel: async () => {
        const { signal } = await entered.promise;
        client.abort();
        if (!signal.aborted) {
          await Promise.race([once(signal, 'abort'), handled.promise]);
        }
      },
    };
    const part = this.#plan({ kind: 'request', steps, line });
    const path = `${this.#options.name}-${part.number}`;
    this.#app.parts.set(path, (injected) => {
      entered.resolve(this.#app.context.scope);
      return part.enter(injected).finally(handled.resolve);
    });
    const status = await fetch(`${this.#app.url}/parts/${path}`, { method: 'POST', signal: client.signal }).then(
      async (response) => {
        await response.text();
        return response.status;
      },
      () => undefined,
    );
    await handled.promise;
    if (status !== undefined && status !== (part.thrown === undefined ? 201 : 500)) {
      this.journal.complain(part.number, `the client got ${status}`);
    }
    this.journal.note(part.number, { event: 'reported', error: part.thrown && nameOf(part.thrown.error) });
  }

  async #block({ kind, steps }: Block, outer: Place | undefined): Promise<void> {
    const part = this.#plan({ kind, steps, outer, line: outer?.line ?? mainLine, isManaged: kind === 'begin' });
    await this.#report(part, () => this.#app.factory[kind]((session) => part.enter(session)));
  }

  async #jobs({ jobs, form, ...options }: Jobs, outer: Place | undefined): Promise<void> {
    const cancellation = new AbortController();
    const line: Line = { startedIn: outer, cancel: async () => cancellation.abort() };
    const isManaged = options.transaction === 'job';
    const parts = jobs.map((steps) => this.#plan({ kind: 'job', steps, line, outer, isManaged }));
    const work = (session: EntityManager, { enter }: Part): Promise<void> => enter(session);
    const outcomes = await this.#app.jobs.settle(parts, form === 'class' ? PartWorker : work, {
      concurrency: options.concurrency,
      transaction: options.transaction,
      signal: cancellation.signal,
      whenAborted: 'finish',
    });
    for (const outcome of outcomes) {
      const end = outcome.status === 'fulfilled' ? Promise.resolve() : Promise.reject(outcome.reason);
      await this.#report(outcome.input, () => end).catch(() => undefined);
    }
  }

  #plan(options: PartOptions): Part {
    const number = this.journal.newPart();
    const { kind, outer, isManaged = false } = options;
    this.journal.note(number, { event: 'planned', kind, within: outer?.part, isManaged });
    const part: Part = { ...options, number, enter: (given) => this.#enter(part, given) };
    return part;
  }

  async #enter(part: Part, given: EntityManager): Promise<void> {
    const { number, kind, line, outer, steps } = part;
    const { context, contextual } = this.#app;
    const session = context.current;
    const injected = contextual ?? (kind === 'request' ? given : undefined);
    part.place = { part: number, line, outer, session, given, injected, marks: [], life: { isOver: false } };
    this.#meet(session, number);
    this.journal.note(number, { event: 'entered' });
    try {
      await this.#perform(part.place, steps);
      this.journal.note(number, { event: 'left', how: 'returned' });
    } catch (error) {
      part.thrown = { error };
      this.journal.note(number, { event: 'left', how: 'threw' });
      throw error;
    } finally {
      part.place.life.isOver = true;
    }
  }

  #meet(session: EntityManager, part: number): void {
    const known = this.sessions.get(session);
    const { id } = this.#app.context.scope;
    if (known !== undefined) {
      this.journal.complain(part, `got the session of part ${known}`);
    }
    if (this.#scopes.has(id)) {
      this.journal.complain(part, 'got the scope of another part');
    }
    this.sessions.set(session, part);
    this.#scopes.add(id);
  }

  async #report(part: Part, ended: () => Promise<unknown>): Promise<void> {
    const { number } = part;
    try {
      await ended();
      this.journal.note(number, { event: 'reported' });
    } catch (error) {
      this.journal.note(number, { event: 'reported', error: nameOf(error) });
      if (part.thrown !== undefined && part.thrown.error !== error) {
        this.journal.complain(number, `threw ${nameOf(part.thrown.error)} and was reported with ${nameOf(error)}`);
      }
      throw error;
    } finally {
      if (part.place !== undefined && !isClosed(part.place.session)) {
        this.journal.complain(number, 'left its session open');
      }
    }
  }

  async #perform(place: Place, steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      try {
        await this.#step(place, step);
      } catch (error) {
        if (!step.isCaught) {
          throw error;
        }
      }
    }
  }

  async #step(place: Place, step: Step): Promise<void> {
    this.#steps.assertOneSession(place);
    switch (step.do) {
      case 'pause':
        return this.#beat();
      case 'throw':
        throw new Error('on purpose');
      case 'cancel':
        return place.line.cancel();
      case 'block':
        return this.#block(step.block, place);
      case 'parallel':
        return this.#parallel(place, step.combine, step.blocks);
      case 'jobs':
        return this.#jobs(step.jobs, place);
      case 'transactional':
        return this.#transactional(place, step.steps);
      case 'own':
        return this.#own(place, step.end, step.steps);
      case 'black hole':
        return this.#blackHole(place, step.at);
      default:
        return this.#steps.perform(place, step);
    }
  }

  async #parallel(place: Place, combine: 'all' | 'allSettled', blocks: readonly Block[]): Promise<void> {
    const branches = blocks.map((block) => this.#track(this.#block(block, place)));
    await (combine === 'all' ? Promise.all(branches) : Promise.allSettled(branches));
  }

  async #transactional(place: Place, steps: readonly Step[]): Promise<void> {
    let isEntered = false;
    try {
      await place.given.transactional(async (given) => {
        isEntered = true;
        this.journal.note(place.part, { event: 'transactional entered' });
        let how: 'returned' | 'threw' = 'threw';
        try {
          await this.#perform({ ...place, given }, steps);
          how = 'returned';
        } finally {
          this.journal.note(place.part, { event: 'transactional left', how });
        }
      });
      this.journal.note(place.part, { event: 'transactional reported', isEntered });
    } catch (error) {
      this.journal.note(place.part, { event: 'transactional reported', isEntered, error: nameOf(error) });
      throw error;
    }
  }

  /** Holds a transaction of a session of its own while the steps run in the scope as it was. */
  async #own(place: Place, end: 'commit' | 'leave', steps: readonly Step[]): Promise<void> {
    const part = this.#plan({ kind: 'own', steps, outer: place, line: place.line });
    await this.#report(part, async () => {
      await using session = this.#app.factory.create();
      const own = besides(place, part.number, session);
      part.place = own;
      this.sessions.set(session, part.number);
      this.journal.note(part.number, { event: 'entered' });
      let how: 'returned' | 'threw' = 'threw';
      try {
        await this.#steps.perform(own, { do: 'begin' });
        await this.#steps.perform(own, { do: 'insert', via: 'given' });
        await this.#perform(place, steps);
        if (end === 'commit') {
          await this.#steps.perform(own, { do: 'commit' });
        }
        how = 'returned';
      } finally {
        own.life.isOver = true;
        this.journal.note(part.number, { event: 'left', how });
      }
    });
  }

  /** Runs a job whose connection falls silent, and which is aborted then. */
  async #blackHole(place: Place, at: 'statement' | 'commit'): Promise<void> {
    const part = this.#plan({ kind: 'job', steps: [], line: place.line, outer: place, isManaged: true });
    const { number } = part;
    const { faults } = this.#app;
    if (faults === undefined) {
      throw new Error('There is no network that can fall silent.');
    }
    const client = new AbortController();
    const abort = (): void => client.abort();
    const work = async (session: EntityManager): Promise<void> => {
      const own = besides(place, part.number, session);
      part.place = own;
      this.#meet(session, number);
      this.journal.note(number, { event: 'entered' });
      try {
        await this.#steps.perform(own, { do: 'register' });
        await this.#steps.perform(own, { do: 'insert', via: 'given' });
        const execute = (sql: string): Promise<unknown> => session.execute(sql);
        this.journal.note(number, { event: 'black hole', at });
        await (at === 'commit' ? faults.swallowAtCommit(execute, abort) : faults.swallowStatement(execute, abort));
      } catch (error) {
        this.journal.note(number, { event: 'left', how: 'threw' });
        throw error;
      } finally {
        own.life.isOver = true;
      }
    };
    const options = { transaction: 'job', signal: client.signal } as const;
    const [outcome] = await this.#app.jobs.settle([part], (session) => this.#track(work(session)), options);
    await this.#report(part, async () => {
      if (outcome?.status !== 'fulfilled') {
        throw outcome?.reason;
      }
    });
  }

  /** Lets all who pause go on at the same moment, to be after the same connection. */
  async #beat(): Promise<void> {
    this.#nextBeat ??= this.#options.observe('select 1').then(() => {
      this.#nextBeat = undefined;
    });
    await this.#nextBeat;
  }

  async #track<Result>(work: Promise<Result>): Promise<Result> {
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }
}

/** The place of a session of its own within another. */
function besides(place: Place, part: number, session: EntityManager): Place {
  return { ...place, part, outer: place, session, given: session, marks: [], life: { isOver: false } };
}

/** Whether a session has ended for good. */
export function isClosed(session: EntityManager): boolean {
  try {
    session.clear();
    return false;
  } catch (error) {
    return error instanceof SessionClosedError;
  }
}
