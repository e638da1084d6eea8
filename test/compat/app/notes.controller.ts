import { InjectRepository } from '@mikro-orm/nestjs';
import { EntityManager, EntityRepository } from '@mikro-orm/postgresql';
import { Controller, Get, Inject, Query } from '@nestjs/common';
import { InjectSession, SessionContext } from 'nestjs-mikro-session';

import { Note } from './note.js';

// What is injected is named, for compilers that leave no types behind.
@Controller('notes')
export class NotesController {
  constructor(
    @InjectSession() private readonly session: EntityManager,
    @InjectRepository(Note) private readonly notes: EntityRepository<Note>,
    @Inject(EntityManager) private readonly em: EntityManager,
    @Inject(SessionContext) private readonly context: SessionContext<EntityManager>,
  ) {}

  @Get('clear')
  async clear(): Promise<object> {
    await this.session.nativeDelete(Note, {});
    return { count: await this.session.count(Note) };
  }

  @Get('write')
  async write(@Query('text') text: string): Promise<object> {
    const note = this.session.create(Note, { text });
    this.notes.create({ text: `${text} too` });
    await this.session.flush();
    const found = await this.notes.findAll({ orderBy: { id: 'asc' } });
    const isOne = found[0] === note && (await this.em.findOne(Note, note.id)) === note;
    return { texts: found.map((each) => each.text), isOne: isOne && this.context.scope.kind === 'request' };
  }

  @Get('roll-back')
  async rollBack(@Query('text') text: string): Promise<object> {
    const failing = this.session.transactional(async () => {
      this.notes.create({ text });
      await this.session.flush();
      throw new Error('on purpose');
    });
    return { failure: await failing.then(() => 'none', String) };
  }

  @Get('texts')
  async texts(): Promise<string[]> {
    const notes = await this.notes.findAll({ orderBy: { id: 'asc' } });
    return notes.map(({ text }) => text);
  }
}
