import * as door from 'nestjs-mikro-session';

describe('nestjs-mikro-session', () => {
  it('exports these names and no others', () => {
    expect(Object.keys(door).toSorted()).toEqual([
      'InjectSession',
      'JobError',
      'JobService',
      'NoActiveSessionError',
      'SessionClosedError',
      'SessionContext',
      'SessionError',
      'SessionFactory',
      'SessionModule',
      'SessionSetupError',
      'getJobServiceToken',
      'getSessionContextToken',
      'getSessionFactoryToken',
      'getSessionToken',
    ]);
  });
});
