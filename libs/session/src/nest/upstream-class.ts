import type { ModulesContainer } from '@nestjs/core';

import { type Seam, warnOfSeam } from '../session/assert-seam.js';

/** How a class of an optional package is told apart, without an import of the package. */
export interface UpstreamClass extends Pick<Seam, 'seam' | 'of'> {
  /** Its name, which a bundler may have changed. */
  readonly className: string;
  /** The name of a class beside it, where its own name is that of other packages' classes too. */
  readonly beside?: string;
  /** The methods of it that are needed. */
  readonly methods: readonly string[];
  /** What its users have, for the warning when the class has changed. */
  readonly what: string;
}

/** Finds the instances of a class of an optional package by its methods. There are none when the package is not used. */
export function findInstances<Instance>(modules: ModulesContainer, known: UpstreamClass): Set<Instance> {
  const found = new Set<Instance>();
  let isNamed = false;
  for (const { providers } of modules.values()) {
    for (const wrapper of providers.values()) {
      const metatype = wrapper.metatype as { readonly name: string; readonly prototype?: object } | null;
      if (hasMethods(metatype?.prototype, known.methods)) {
        found.add(wrapper.instance as Instance);
      }
      isNamed ||= metatype?.name === (known.beside ?? known.className);
    }
  }
  if (isNamed && found.size === 0) {
    warnOfUnknownClass(known);
  }
  return found;
}

/** Tells that a class is there, but is not as it was when this package was written. */
export function warnOfUnknownClass({ what, className, seam, of }: UpstreamClass): void {
  const loss = `No sessions are opened for ${what}`;
  warnOfSeam([className], { seam, of, loss, remedy: 'Open one in each with @InSession()' });
}

function hasMethods(prototype: object | undefined, methods: readonly string[]): boolean {
  const members = prototype as Readonly<Record<string, unknown>> | undefined;
  return members !== undefined && methods.every((method) => typeof members[method] === 'function');
}
