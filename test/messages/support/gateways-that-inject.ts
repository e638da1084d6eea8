import type { GatewayAdapter } from './gateway-adapters.js';
import { injections } from '../../support/test-app.js';
import { describeSince, itSince } from '../../support/since.js';

/** What request-scoped gateways need of NestJS. */
export const GATEWAYS_PER_MESSAGE = {
  version: '12.0.0',
  reason: 'NestJS 11 has one instance of a gateway for all messages, and fills nothing in one that is request-scoped.',
};

/** What the tests need of NestJS that look at the exceptions a client of ws is told of. */
const EXCEPTIONS_OVER_WS = {
  version: '12.0.0',
  reason: 'NestJS 11 tells a client of ws nothing of the exceptions of a handler.',
};

type Injection = (typeof injections)[number];

/** Gives `describe` for gateways that inject a session. */
export function describeGateways(injection: Injection): jest.Describe {
  return injection === 'request' ? describeSince('@nestjs/core', GATEWAYS_PER_MESSAGE) : describe;
}

/** Gives `it` for them. */
export function itOfGateways(injection: Injection): jest.It {
  return injection === 'request' ? itSince('@nestjs/core', GATEWAYS_PER_MESSAGE) : it;
}

/** Gives `it` for exceptions that a client is told of. */
export function itOfExceptions({ name }: GatewayAdapter): jest.It {
  return name === 'ws' ? itSince('@nestjs/core', EXCEPTIONS_OVER_WS) : it;
}

/** Describes them with each way of injection that they can have. */
export function describeInjections(tests: (injection: Injection) => void): void {
  for (const injection of injections) {
    describeGateways(injection)(`with ${injection} injection`, () => {
      tests(injection);
    });
  }
}
