import type { EntityManager } from '@mikro-orm/core';
import type { Abstract, Type } from '@nestjs/common';
import { ContextIdFactory, type ModuleRef } from '@nestjs/core';

import { aName, anObject, assertOptions, type Rule } from '../session/assert-options.js';
import type { LiveScope, ScopeOptions } from '../session/scope/live-scope.js';
import type { ScopeInfo } from '../session/scope/scope-info.js';
import type { TaskScopes } from '../session/scope/task-scopes.js';
import type { SessionSource } from '../session/session-source.js';
import type { SessionEntityManager } from '../session/session-types.js';

/** Options of the scopes that a test opens. */
export interface TestActorOptions {
  /** Data about the scope for the `fork` function of the module and for your own code: a tenant, a user. */
  readonly info?: ScopeInfo;
  /** The label of the scope in errors and logs. @default 'SessionTesting' */
  readonly label?: string;
}

/** Options of run() of SessionTesting and TestActor. */
export interface RunOptions {
  /** The name of the connection. @default the default connection */
  readonly contextName?: string;
}

/** The parts of SessionTesting that a TestActor needs. */
export interface TestServices {
  readonly moduleRef: Pick<ModuleRef, 'resolve' | 'registerRequestByContextId'>;
  readonly tasks: TaskScopes;
  /** @throws {SessionStateError} where no test is open */
  findSource(contextName: string | undefined): SessionSource;
  /** Makes a scope that ends with the test. */
  createScope(options: ScopeOptions): LiveScope;
}

export type Token<Instance> = Type<Instance> | Abstract<Instance> | string | symbol;

const rules: Record<keyof TestActorOptions, Rule> = { info: anObject, label: aName };
const runRules: Record<keyof RunOptions, Rule> = { contextName: aName };

/** Runs code of a test, each time in a new scope, with the info of a tenant or a user. */
export class TestActor<Em extends EntityManager = SessionEntityManager> {
  constructor(
    private readonly services: TestServices,
    private readonly options: TestActorOptions,
  ) {
    assertOptions('SessionTesting.as()', options, rules);
  }

  /** Runs `work` in a new session and one transaction: flushed and committed when it returns, rolled back when it throws. */
  async run<Result>(work: (session: Em) => Result | Promise<Result>, options: RunOptions = {}): Promise<Result> {
    assertOptions('SessionTesting.run()', options, runRules);
    const source = this.services.findSource(options.contextName) as SessionSource<Em>;
    const { label = 'SessionTesting', info } = this.options;
    return source.run({ kind: 'begin', label, info, startedIn: source.currentScope }, work, { transaction: {} });
  }

  /**
   * Returns a provider whose methods run in one new scope. The scope ends with the test. A request-scoped provider is
   * created for this scope. Other providers find the session of this scope, as they find that of a request.
   */
  async resolve<Instance extends object>(token: Token<Instance>): Promise<Instance> {
    const { moduleRef, tasks, createScope } = this.services;
    const { info, label = `SessionTesting of ${nameOf(token)}` } = this.options;
    const scope = createScope({ kind: 'run', label, info });
    const contextId = ContextIdFactory.create();
    const instance = await tasks.enter(scope, () =>
      moduleRef.resolve<Instance>(token as Type<Instance>, contextId, { strict: false }),
    );
    return inScope(instance, (call) => tasks.enter(scope, call));
  }
}

function inScope<Instance extends object>(instance: Instance, enter: <Result>(call: () => Result) => Result): Instance {
  return new Proxy(instance, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target);
      if (typeof member !== 'function' || key === 'constructor') {
        return member;
      }
      return (...args: unknown[]): unknown => enter(() => Reflect.apply(member, target, args) as unknown);
    },
  });
}

function nameOf(token: Token<unknown>): string {
  return typeof token === 'function' ? token.name : String(token);
}
