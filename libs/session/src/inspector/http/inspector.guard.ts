import { type CanActivate, type ExecutionContext, Inject } from '@nestjs/common';

import type { HttpRequest } from '../../nest/http/http-options.js';
import { InspectorAccess } from './inspector-access.js';
import { rawResponse } from './raw-response.js';

/** Checks every request to the inspector. NestJS creates a guard for each controller. */
export class InspectorGuard implements CanActivate {
  @Inject(InspectorAccess)
  private readonly access!: InspectorAccess;

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    rawResponse(http.getResponse<object>()).setHeader('Cache-Control', 'no-store, no-transform');
    await this.access.assertAllowed(http.getRequest<HttpRequest>());
    return true;
  }
}
