import type { ModulesContainer } from '@nestjs/core';

import { type Seam, warnOfSeam } from '../session/assert-seam.js';

/** How to recognise a class of an optional package without importing the package. */
export interface UpstreamClass extends Pick<Seam, 'seam' | 'of'> {
  /** The name of the class. A bundler may have changed it. */
  readonly className: string;
  /** The name of another class of the same module, where classes of other packages have the same name. */
  readonly beside?: string;
  /** The methods of the class that are used. */
  readonly methods: readonly string[];
  /** What users lose when the class has changed, for the warning. */
  readonly what: string;
}

/**
 * Finds the instances of a class of an optional package by its methods. Returns none when the application does not use
 * the package.
 */
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

/** Warns that a class exists, but is not the class that this library knows. */
export function warnOfUnknownClass({ what, className, seam, of }: UpstreamClass): void {
  const loss = `No sessions are opened for ${what}`;
  warnOfSeam([className], { seam, of, loss, remedy: 'Open one in each with @InSession()' });
}

function hasMethods(prototype: object | undefined, methods: readonly string[]): boolean {
  const members = prototype as Readonly<Record<string, unknown>> | undefined;
  return members !== undefined && methods.every((method) => typeof members[method] === 'function');
}
