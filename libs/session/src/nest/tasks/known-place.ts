import type { ModulesContainer } from '@nestjs/core';

import { findInstances, type UpstreamClass } from '../upstream-class.js';
import type { SessionPlace } from '../session-place.js';
import type { SessionScopes } from '../session-scopes.js';

/** A SessionPlace of this library for another package that the application may use. */
export class KnownPlace<Instance> implements SessionPlace {
  /** @param wrap opens a scope for each call that an instance of the class makes */
  constructor(
    private readonly modules: ModulesContainer,
    private readonly known: UpstreamClass,
    private readonly wrap: (instance: Instance, scopes: SessionScopes) => void,
  ) {}

  install(scopes: SessionScopes): void {
    for (const instance of findInstances<Instance>(this.modules, this.known)) {
      this.wrap(instance, scopes);
    }
  }
}
