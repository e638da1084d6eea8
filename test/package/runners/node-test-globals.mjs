import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

const beforeAll = (work, timeout) => before(work, { timeout });

Object.assign(globalThis, { afterAll: after, afterEach, beforeAll, beforeEach, describe, it });
