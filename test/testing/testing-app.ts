import type { EntityManager } from '@mikro-orm/postgresql';
import { Body, ConflictException, Controller, Get, Injectable, Post } from '@nestjs/common';
import { InjectSession, SessionFactory } from 'nestjs-mikro-session';

import { Note } from '../support/note.entity.js';
import { startTestApp, type TestApp, type TestAppOptions } from '../support/test-app.js';
import { Owner, Pet } from './testing.entities.js';

@Injectable()
export class OwnersService {
  constructor(@InjectSession() readonly session: EntityManager) {}

  async add(name: string): Promise<Owner> {
    return this.session.transactional(async (session) => session.create(Owner, { name }));
  }

  async names(): Promise<string[]> {
    const owners = await this.session.find(Owner, {}, { orderBy: { name: 'asc' } });
    return owners.map(({ name }) => name);
  }
}

@Controller('owners')
class OwnersController {
  constructor(
    private readonly owners: OwnersService,
    private readonly factory: SessionFactory<EntityManager>,
  ) {}

  @Get()
  names(): Promise<string[]> {
    return this.owners.names();
  }

  @Post()
  async add(@Body() { name }: { readonly name: string }): Promise<string> {
    try {
      await this.owners.add(name);
      return name;
    } catch (error) {
      throw new ConflictException('The name is taken.', { cause: error });
    }
  }

  @Get('nested')
  async nested(): Promise<string> {
    const { session } = this.owners;
    await session.begin();
    await session.count(Owner);
    try {
      return await this.factory.begin(async (inner) => `inner saw ${await inner.count(Owner)}`);
    } catch (error) {
      return String(error);
    } finally {
      await session.rollback();
    }
  }
}

/** Starts the application that the tests of SessionTesting test. */
export function startTestingApp(options: TestAppOptions): Promise<TestApp> {
  return startTestApp({
    controllers: [OwnersController],
    providers: [OwnersService],
    ...options,
    orm: { entities: [Note, Owner, Pet], ...options.orm },
  });
}

/** Asks the application for the names of the owners. */
export async function fetchNames({ url }: TestApp): Promise<unknown> {
  return (await fetch(`${url}/owners`)).json();
}

export async function postName({ url }: TestApp, name: string): Promise<number> {
  const body = JSON.stringify({ name });
  const response = await fetch(`${url}/owners`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  });
  await response.text();
  return response.status;
}
