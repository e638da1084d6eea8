/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test', '<rootDir>/libs'],
  testMatch: ['**/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
        module: { type: 'es6' },
      },
    ],
  },
  moduleNameMapper: {
    '^nestjs-mikro-session$': '<rootDir>/libs/session/src/index.ts',
    '^nestjs-mikro-session/inspector$': '<rootDir>/libs/session/src/inspector/index.ts',
    '^nestjs-mikro-session/testing$': '<rootDir>/libs/session/src/testing/index.ts',
    '^nestjs-mikro-session/pg-boss$': '<rootDir>/libs/session/src/pg-boss/index.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  globalSetup: '<rootDir>/test/support/global-setup.mts',
  globalTeardown: '<rootDir>/test/support/global-teardown.mts',
  setupFilesAfterEnv: ['<rootDir>/test/support/short-stacks.ts', '<rootDir>/test/support/no-process.ts'],
  testSequencer: '<rootDir>/test/support/longest-first.mjs',
  maxWorkers: 3,
  // A hang still ends, but a slow machine is no failure.
  testTimeout: 30_000,
};
