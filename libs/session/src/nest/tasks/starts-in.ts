import type { Propagation } from '../run-session-method.js';

/** Tells whose scope a listener is called in. One that is made per call needs a scope before its @InSession() can open one. */
export function startsIn(propagation: Propagation | undefined, needsScope: boolean): 'emitter' | 'own' {
  switch (propagation) {
    case 'join':
      return needsScope ? 'own' : 'emitter';
    case 'mandatory':
    case 'never':
      return 'emitter';
    case 'new':
    case undefined:
      return 'own';
  }
}
