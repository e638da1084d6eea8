/** What the examples of the documentation import from files of their own, by the name of the file. */
export const files: Readonly<Record<string, string>> = {
  'note.entity.ts': `
    import type { Opt } from '@mikro-orm/core';
    import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
    @Entity() export class Note {
      @PrimaryKey({ type: 'integer' }) id!: number;
      @Property({ type: 'text' }) text!: string;
      @Property({ type: 'text', default: 'a' }) tenant: Opt<string> = 'a';
    }`,
  'user.entity.ts': `
    import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
    @Entity() export class User {
      @PrimaryKey({ type: 'integer' }) id!: number;
      @Property({ type: 'text' }) name!: string;
    }`,
  'order.entity.ts': `
    import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
    @Entity() export class Order {
      @PrimaryKey({ type: 'integer' }) id!: number;
      @Property({ type: 'text' }) article!: string;
      @Property({ type: 'text' }) state!: string;
    }`,
  'square.entity.ts': `
    import { Entity, PrimaryKey, Property } from '@mikro-orm/decorators/legacy';
    @Entity() export class Square {
      @PrimaryKey({ type: 'integer' }) id!: number;
      @Property({ type: 'integer' }) input!: number;
      @Property({ type: 'integer' }) square!: number;
    }`,
  'mikro-orm.config.ts': `
    import { defineConfig } from '@mikro-orm/postgresql';
    export const config = defineConfig({});`,
  'app.module.ts': `
    import { Module } from '@nestjs/common';
    @Module({}) export class AppModule {}`,
  'reports.module.ts': `
    import { Injectable, Module } from '@nestjs/common';
    @Injectable() export class ReportsService { write(text: string): Promise<number[]> { return Promise.resolve([text.length]); } }
    @Module({ providers: [ReportsService] }) export class ReportsModule {}`,
  'ship-order.ts': `
    import { Injectable } from '@nestjs/common';
    import { JobHandler } from 'nestjs-mikro-session/pg-boss';
    @Injectable() @JobHandler({ queue: 'ship-order' }) export class ShipOrder { handle(id: number): void { void id; } }`,
  'notes.service.ts': `
    import { Injectable } from '@nestjs/common';
    import { InjectSession, type SessionEntityManager } from 'nestjs-mikro-session';
    import { Note } from './note.entity.js';
    @Injectable() export class NotesService {
      constructor(@InjectSession() private readonly session: SessionEntityManager) {}
      count(): Promise<number> { return this.session.count(Note); }
    }`,
  'tenant.guard.ts': `
    import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
    @Injectable() export class TenantGuard implements CanActivate {
      canActivate(context: ExecutionContext): Promise<boolean> { return Promise.resolve(context.getType() === 'http'); }
    }`,
  // Of a package that only the check of the packed library installs.
  'supertest.d.ts': `
    declare module 'supertest' {
      interface Answer extends Promise<unknown> { expect(status: number, body?: unknown): Answer }
      export default function request(server: unknown): { get(path: string): Answer };
    }`,
  'ticks.ts': `
    import { Subject } from 'rxjs';
    export const ticks = new Subject<string>();`,
  'housekeeping.ts': `
    import { Injectable } from '@nestjs/common';
    @Injectable() export class Housekeeping { purge(): Promise<void> { return Promise.resolve(); } }`,
  'inbox.ts': `
    import { Injectable } from '@nestjs/common';
    interface Mail { readonly id: number; readonly tenant: string; }
    @Injectable() export class Inbox { deliver: (mail: Mail) => Promise<void> = async () => {}; }
    @Injectable() export class Archive { store(mail: Mail): Promise<void> { return Promise.resolve(void mail); } }`,
  'workers.ts': `
    import { Injectable } from '@nestjs/common';
    @Injectable() export class ImportLine { handle(line: string): void { void line; } }
    @Injectable() export class FactoriseWorker { handle(input: number): number { return input; } }`,
  // What is injected where an example is a part of a method.
  'globals.ts': `
    import type { EntityManager, MikroORM } from '@mikro-orm/postgresql';
    import type { INestApplication } from '@nestjs/common';
    import type { ClsService } from 'nestjs-cls';
    import type { JobService, SessionContext, SessionFactory, SessionRegistry } from 'nestjs-mikro-session';
    import type { JobQueue } from 'nestjs-mikro-session/pg-boss';
    import type { SessionTesting, TestActor } from 'nestjs-mikro-session/testing';
    declare module 'nestjs-mikro-session' {
      interface SessionTypes { entityManager: EntityManager }
    }
    declare module 'nestjs-mikro-session/pg-boss' {
      interface QueueInputs { 'ship-order': number; unshipped: number; squares: number; mails: { readonly to: string }; pay: number; deliver: { readonly order: number } }
    }
    declare global {
      const app: INestApplication, cls: ClsService, context: SessionContext, factory: SessionFactory, jobs: JobService;
      const orm: MikroORM, url: string, queue: JobQueue, registry: SessionRegistry, session: EntityManager;
      let testing: SessionTesting;
      const acme: TestActor;
      const numbers: number[], orderId: number, seen: string[], tenant: string, text: string, ROLE: string;
      const logger: { warn(text: string): void };
      const mailer: { send(mail: unknown): Promise<void> }, welcome: unknown;
      function readLines(): AsyncIterable<string>;
    }`,
};
