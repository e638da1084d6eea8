import { EntityManager } from '@mikro-orm/postgresql';
import { Injectable } from '@nestjs/common';
import DataLoader from 'dataloader';
import { InjectSession, type Scope, SessionContext } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';

/** Loads notes in batches. Its caches belong to the scopes, so that it may be a singleton. */
@Injectable()
export class NoteLoader {
  readonly #loaders = new WeakMap<Scope, DataLoader<number, Note>>();

  constructor(
    @InjectSession() private readonly session: EntityManager,
    private readonly context: SessionContext,
  ) {}

  load(id: number): Promise<Note> {
    const { scope } = this.context;
    const loader = this.#loaders.get(scope) ?? new DataLoader((ids: readonly number[]) => this.loadAll(ids));
    this.#loaders.set(scope, loader);
    return loader.load(id);
  }

  protected async loadAll(ids: readonly number[]): Promise<Note[]> {
    const notes = await this.session.find(Note, { id: { $in: [...ids] } });
    const byId = new Map(notes.map((note) => [note.id, note]));
    return ids.map((id) => byId.get(id) as Note);
  }
}
