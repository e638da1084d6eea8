import * as door from 'nestjs-mikro-session';
import * as inspectorDoor from 'nestjs-mikro-session/inspector';
import * as queueDoor from 'nestjs-mikro-session/pg-boss';
import * as testingDoor from 'nestjs-mikro-session/testing';

describe('nestjs-mikro-session', () => {
  it('exports these names and no others', () => {
    expect(Object.keys(door).toSorted()).toEqual([
      'CommitUnknownError',
      'ConcurrentSessionUseError',
      'ConnectionLostError',
      'EntityOwnershipError',
      'InSession',
      'InjectSession',
      'JobCloneError',
      'JobError',
      'JobService',
      'JobThreadError',
      'JobTimeoutError',
      'NoActiveSessionError',
      'SessionClosedError',
      'SessionContext',
      'SessionError',
      'SessionFactory',
      'SessionHealthIndicator',
      'SessionModule',
      'SessionOwnershipError',
      'SessionPlace',
      'SessionPoolDeadlockError',
      'SessionRegistry',
      'SessionSetupError',
      'SessionStateError',
      'TransactionAbortedError',
      'UnflushedChangesError',
      'getJobServiceToken',
      'getSessionContextToken',
      'getSessionFactoryToken',
      'getSessionToken',
      'isTransientError',
    ]);
  });
});

describe('nestjs-mikro-session/testing', () => {
  it('exports these names and no others', () => {
    expect(Object.keys(testingDoor)).toEqual(['SessionTesting']);
  });
});

describe('nestjs-mikro-session/inspector', () => {
  it('exports these names and no others', () => {
    expect(Object.keys(inspectorDoor)).toEqual(['SessionInspectorModule']);
  });
});

describe('nestjs-mikro-session/pg-boss', () => {
  it('exports these names and no others', () => {
    expect(Object.keys(queueDoor).toSorted()).toEqual([
      'JobClaimLostError',
      'JobDeadLetterError',
      'JobHandler',
      'JobQueue',
      'JobQueueHealthIndicator',
      'JobQueueModule',
      'getJobQueueHealthToken',
      'getJobQueueToken',
    ]);
  });
});
