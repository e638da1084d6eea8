/** How an application is compiled: by a compiler alone, or into one file. */
type Build = 'tsc' | 'nest' | 'nest-swc' | 'nest-webpack' | 'esbuild' | 'rspack';

/** One combination of what an application is made of. What is left out is the newest that the library is made for. */
export interface Cell {
  readonly name: string;
  /** The versions of NestJS, in the range of one of its majors. */
  readonly nest?: string;
  /** Whether it has the lowest versions of the other packages that the library works with. */
  readonly isLowest?: boolean;
  /** The version of all packages of MikroORM. */
  readonly mikroOrm?: string;
  readonly node?: string;
  readonly typescript?: string;
  readonly module?: 'commonjs' | 'esm';
  readonly build?: Build;
  readonly manager?: 'npm' | 'pnpm' | 'yarn';
  readonly runtime?: 'node' | 'bun';
  /** Whether the declarations of packages are checked too, in an application that has only what it must have. */
  readonly isStrict?: boolean;
}
