import type { Propagation } from '../run-session-method.js';

/**
 * Returns in whose scope a listener is called. A listener that is created per call needs its scope before its
 * @InSession() can open one.
 */
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
