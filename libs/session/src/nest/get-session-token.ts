import type { InjectionToken } from '@nestjs/common';

import { JobService } from '../jobs/job.service.js';
import { SessionContext } from '../session/session-context.js';
import { SessionFactory } from '../session/session-factory.js';
import { SessionSource } from '../session/session-source.js';

/** Returns the injection token of the session of a connection. */
export function getSessionToken(contextName?: string): string {
  return `session of ${describeModule(contextName)}`;
}

/** Returns the injection token of the SessionFactory of a connection: the class itself for the default one. */
export function getSessionFactoryToken(contextName?: string): InjectionToken<SessionFactory> {
  return contextName === undefined ? SessionFactory : `SessionFactory of ${describeModule(contextName)}`;
}

/** Returns the injection token of the SessionContext of a connection: the class itself for the default one. */
export function getSessionContextToken(contextName?: string): InjectionToken<SessionContext> {
  return contextName === undefined ? SessionContext : `SessionContext of ${describeModule(contextName)}`;
}

/** Returns the injection token of the JobService of a connection: the class itself for the default one. */
export function getJobServiceToken(contextName?: string): InjectionToken<JobService> {
  return contextName === undefined ? JobService : `JobService of ${describeModule(contextName)}`;
}

/** Returns the injection token of the SessionSource of a connection, for the decorators of this package. */
export function getSessionSourceToken(contextName?: string): InjectionToken<SessionSource> {
  return contextName === undefined ? SessionSource : `SessionSource of ${describeModule(contextName)}`;
}

/** The text of the token. NestJS shows it in its error when no module provides the token, so it says what to import. */
function describeModule(contextName: string | undefined): string {
  return `SessionModule.forRoot(${contextName === undefined ? '' : `{ contextName: '${contextName}' }`})`;
}
