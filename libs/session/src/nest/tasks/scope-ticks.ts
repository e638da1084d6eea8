import type { UpstreamClass } from '../upstream-class.js';
import type { SessionScopes } from '../session-scopes.js';

type Method = (...args: unknown[]) => unknown;

/** The members that are used here of the class that finds the methods for @nestjs/schedule. */
export interface ScheduleExplorer {
  readonly metadataAccessor: {
    getCronMetadata(method: unknown): object | undefined;
    getIntervalMetadata(method: unknown): object | undefined;
  };
  lookupSchedulers(instance: object, key: string): void;
  wrapFunctionInTryCatchBlocks(method: Method, instance: object): (...args: unknown[]) => Promise<void>;
}

// Seam: nestjs/schedule
export const SCHEDULE_EXPLORER: UpstreamClass = {
  seam: 'nestjs/schedule',
  of: '@nestjs/schedule',
  className: 'ScheduleExplorer',
  methods: ['lookupSchedulers', 'wrapFunctionInTryCatchBlocks'],
  what: 'the ticks of @nestjs/schedule',
};

/** Opens a scope for each tick of a method, inside the block that logs the errors of the method. */
export function scopeTicks(explorer: ScheduleExplorer, scopes: SessionScopes): void {
  const lookupSchedulers = explorer.lookupSchedulers;
  explorer.lookupSchedulers = (instance, key) => {
    const wrapFunctionInTryCatchBlocks: ScheduleExplorer['wrapFunctionInTryCatchBlocks'] = (method, target) => {
      const label = `${findTrigger(explorer, method)} ${instance.constructor.name}.${key}`;
      return explorer.wrapFunctionInTryCatchBlocks(
        (...args) => scopes.run({ kind: 'tick', label }, async () => method.apply(target, args)),
        target,
      );
    };
    const perMethod = Object.assign(Object.create(explorer) as ScheduleExplorer, { wrapFunctionInTryCatchBlocks });
    lookupSchedulers.call(perMethod, instance, key);
  };
}

function findTrigger({ metadataAccessor }: ScheduleExplorer, method: Method): 'cron' | 'interval' | 'timeout' {
  if (metadataAccessor.getCronMetadata(method) !== undefined) {
    return 'cron';
  }
  return metadataAccessor.getIntervalMetadata(method) === undefined ? 'timeout' : 'interval';
}
