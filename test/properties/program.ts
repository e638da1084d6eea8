import * as fc from 'fast-check';

import type { Special } from './abilities.js';

/** What a row is like: `incomplete` and `taken` ones fail at the flush, `late` ones at the commit. */
export type Quality = 'good' | 'incomplete' | 'taken' | 'late';

/** How a step reaches the session. */
export type Route = 'given' | 'context' | 'orm' | 'injected';

export type BlockKind = 'run' | 'begin';

export interface Block {
  readonly kind: BlockKind;
  readonly steps: readonly Step[];
}

export interface Jobs {
  readonly kind: 'jobs';
  readonly concurrency: number;
  readonly transaction: 'job' | 'none';
  readonly form: 'function' | 'class';
  readonly jobs: readonly (readonly Step[])[];
}

export interface Request {
  readonly kind: 'request';
  readonly steps: readonly Step[];
}

type Task = Block | Jobs | Request;

/** Tasks that are started at once. */
export type Program = readonly Task[];

export type Action =
  | { readonly do: 'create'; readonly quality: Quality; readonly via: Route }
  | { readonly do: 'insert'; readonly via: Route }
  | { readonly do: 'flush'; readonly via: Route }
  | { readonly do: 'flush twice at once' }
  | { readonly do: 'read'; readonly times: number; readonly via: Route }
  | { readonly do: 'wrong sql' }
  | { readonly do: 'lose connection' }
  | { readonly do: 'cut statement' | 'cancel statement' }
  | { readonly do: 'commit by hand' }
  | { readonly do: 'lose the answer to commit' }
  | { readonly do: 'black hole'; readonly at: 'statement' | 'commit' }
  | { readonly do: 'register' }
  | { readonly do: 'begin' | 'commit' | 'rollback' }
  | { readonly do: 'throw' }
  | { readonly do: 'pause' }
  | { readonly do: 'cancel' }
  | { readonly do: 'steal' }
  | { readonly do: 'trespass' }
  | { readonly do: 'own'; readonly end: 'commit' | 'leave'; readonly steps: readonly Step[] }
  | { readonly do: 'transactional'; readonly steps: readonly Step[] }
  | { readonly do: 'block'; readonly block: Block }
  | { readonly do: 'parallel'; readonly combine: 'all' | 'allSettled'; readonly blocks: readonly Block[] }
  | { readonly do: 'jobs'; readonly jobs: Jobs };

/** An action, and whether the error it may end with is caught. */
export type Step = Action & { readonly isCaught: boolean };

const route = fc.constantFrom<Route>('given', 'context', 'orm', 'injected');

type LeftOut = Readonly<Partial<Record<Special, string>>>;

/** Of the names, those that can be tried. */
const tried = <Name extends string>(names: readonly Name[], leftOut: LeftOut): fc.Arbitrary<Name> =>
  fc.constantFrom(...names.filter((name) => !Object.hasOwn(leftOut, name)));

const qualityFor = (leftOut: LeftOut): fc.Arbitrary<Quality> =>
  fc.oneof(
    { arbitrary: fc.constant<Quality>('good'), weight: 12 },
    { arbitrary: tried(['incomplete', 'taken', 'late'] as const, leftOut), weight: 1 },
  );

const simpleActionFor = (leftOut: LeftOut) =>
  fc.oneof(
    {
      arbitrary: fc.record({ do: fc.constant('create' as const), quality: qualityFor(leftOut), via: route }),
      weight: 8,
    },
    { arbitrary: fc.record({ do: fc.constant('insert' as const), via: route }), weight: 4 },
    { arbitrary: fc.record({ do: fc.constant('flush' as const), via: route }), weight: 6 },
    {
      arbitrary: fc.record({ do: fc.constant('read' as const), times: fc.integer({ min: 1, max: 3 }), via: route }),
      weight: 4,
    },
    {
      arbitrary: fc.record({ do: fc.constantFrom('begin' as const, 'commit' as const, 'rollback' as const) }),
      weight: 4,
    },
    { arbitrary: fc.record({ do: fc.constantFrom('throw' as const, 'wrong sql' as const) }), weight: 2 },
    { arbitrary: fc.record({ do: fc.constant('pause' as const) }), weight: 2 },
    {
      arbitrary: fc.record({
        do: tried(
          [
            'cancel',
            'flush twice at once',
            'steal',
            'trespass',
            'lose connection',
            'cut statement',
            'cancel statement',
            'commit by hand',
            'lose the answer to commit',
          ] as const,
          leftOut,
        ),
      }),
      weight: 4,
    },
    { arbitrary: fc.record({ do: fc.constant('register' as const) }), weight: 3 },
  );

// oxlint-disable-next-line typescript/consistent-type-definitions -- letrec() takes what has an index signature
type Grammar = {
  readonly step: Step;
  readonly steps: readonly Step[];
  readonly block: Block;
  readonly jobs: Jobs;
};

/** A black hole takes a second, which is why there are few. */
const grammarFor = (leftOut: LeftOut) =>
  fc.letrec<Grammar>((tie) => ({
    step: fc
      .tuple(
        fc.oneof(
          { depthSize: 'small', maxDepth: 5, withCrossShrink: true },
          { arbitrary: simpleActionFor(leftOut), weight: 360 },
          { arbitrary: fc.record({ do: fc.constant('transactional' as const), steps: tie('steps') }), weight: 90 },
          { arbitrary: fc.record({ do: fc.constant('block' as const), block: tie('block') }), weight: 120 },
          {
            arbitrary: fc.record({
              do: fc.constant('parallel' as const),
              combine: fc.constantFrom('all' as const, 'allSettled' as const),
              blocks: fc.array(tie('block'), { minLength: 2, maxLength: 4 }),
            }),
            weight: 60,
          },
          { arbitrary: fc.record({ do: fc.constant('jobs' as const), jobs: tie('jobs') }), weight: 30 },
          {
            arbitrary: fc.record({
              do: fc.constant('black hole' as const),
              at: fc.constantFrom('statement' as const, 'commit' as const),
            }),
            weight: Object.hasOwn(leftOut, 'black hole') ? 0 : 1,
          },
          {
            arbitrary: fc.record({
              do: fc.constant('own' as const),
              end: fc.constantFrom('commit' as const, 'leave' as const),
              steps: tie('steps'),
            }),
            weight: 30,
          },
        ),
        fc.boolean(),
      )
      .map(([action, isCaught]) => ({ ...action, isCaught })),
    steps: fc.array(tie('step'), { maxLength: 5 }),
    block: fc.record({ kind: fc.constantFrom<BlockKind>('begin', 'run'), steps: tie('steps') }),
    jobs: fc.record({
      kind: fc.constant('jobs' as const),
      concurrency: fc.integer({ min: 1, max: 4 }),
      transaction: fc.constantFrom('job' as const, 'none' as const),
      form: fc.constantFrom('function' as const, 'class' as const),
      jobs: fc.array(tie('steps'), { minLength: 1, maxLength: 5 }),
    }),
  }));

/** A block in a block in a block, which pause on the way. */
const chain = fc
  .array(fc.record({ kind: fc.constantFrom<BlockKind>('begin', 'run'), pauses: fc.nat(2) }), {
    minLength: 2,
    maxLength: 4,
  })
  .map((links) =>
    links.reduceRight<Block>(
      (inner, { kind, pauses }) => ({
        kind,
        steps: [
          ...Array.from({ length: pauses }, () => ({ do: 'pause' as const, isCaught: false })),
          { do: 'block', block: inner, isCaught: false },
        ],
      }),
      { kind: 'run', steps: [{ do: 'read', times: 2, via: 'given', isCaught: false }] },
    ),
  );

/** Any program without the steps that cannot be tried. */
export function anyProgram(leftOut: LeftOut): fc.Arbitrary<Program> {
  const { block, jobs, steps } = grammarFor(leftOut);
  const request = fc.record({ kind: fc.constant('request' as const), steps });
  return fc.oneof(
    { arbitrary: fc.array(fc.oneof(request, block, jobs), { minLength: 1, maxLength: 5 }), weight: 4 },
    { arbitrary: fc.array(chain, { minLength: 2, maxLength: 5 }), weight: 1 },
  );
}
