import { Controller, Get } from '@nestjs/common';
import { SessionContext, SessionRegistry } from 'nestjs-mikro-session';

import { platforms } from '../support/test-app.js';
import { useTestApp } from '../support/use-test-app.js';

@Controller()
class IdleController {
  constructor(
    private readonly context: SessionContext,
    private readonly registry: SessionRegistry,
  ) {}

  @Get()
  get(): unknown {
    const before = this.registry.list().length;
    void this.context.current;
    return { label: this.context.scope.label, before, after: this.registry.list().length };
  }
}

describe.each(platforms)('a request over %s', (platform) => {
  const { app } = useTestApp({ platform, controllers: [IdleController] });

  it('gets its session on first use, also behind the middleware of @mikro-orm/nestjs', async () => {
    const answer = await fetch(`${app.url}/?a=1`).then((response) => response.json());

    expect(answer).toEqual({ label: 'GET /', before: 0, after: 1 });
  });
});
