import { MikroOrmModule } from '@mikro-orm/nestjs';
import { EntityManager, PostgreSqlDriver } from '@mikro-orm/postgresql';
import { Controller, Module, Param, Post } from '@nestjs/common';
import { InjectSession, SessionModule, type SessionModuleExtras } from 'nestjs-mikro-session';

import { Note } from './note.entity.js';

const { CLUSTER_DATABASE: clientUrl = '', INJECTION: injection } = process.env;

@Controller('notes')
class NotesController {
  constructor(@InjectSession() private readonly session: EntityManager) {}

  @Post(':text')
  async add(@Param('text') text: string): Promise<{ pid: number; session: number; known: number }> {
    this.session.create(Note, { text });
    await this.session.flush();
    return {
      pid: process.pid,
      session: this.session.id,
      known: [...this.session.getUnitOfWork().getIdentityMap().keys()].length,
    };
  }
}

@Module({
  imports: [
    MikroOrmModule.forRoot({ driver: PostgreSqlDriver, clientUrl, entities: [Note], pool: { min: 0, max: 2 } }),
    SessionModule.forRoot({ injection: injection as NonNullable<SessionModuleExtras['injection']> }),
  ],
  controllers: [NotesController],
})
export class AppModule {}
