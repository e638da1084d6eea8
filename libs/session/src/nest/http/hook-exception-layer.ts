import type { ArgumentsHost } from '@nestjs/common';
import { ExceptionsHandler } from '@nestjs/core/exceptions/exceptions-handler.js';

import { checkSeam, type Seam } from '../../session/assert-seam.js';

type Next = (this: unknown, exception: unknown, host: ArgumentsHost) => void;
/** Runs the answer to an exception: at once, or after the rollback of the transaction of the request. */
export type AroundException = (answer: () => void) => void;

const EXCEPTIONS: Seam = {
  seam: 'nestjs/exceptions-handler',
  of: '@nestjs/core',
  loss: 'What is thrown in a request does not roll back its transaction before an exception filter answers',
};

const HOOKED = Symbol('hooked');
const AROUND = Symbol('around exception');

type Hooked = { next: Next; [HOOKED]?: true };
type Answering = { readonly raw?: Answering; [AROUND]?: AroundException };

/**
 * Lets a request run code around its exception filters. NestJS makes the exception handler of each route itself and has
 * no hook for it, so its class is changed, once per process. Requests that do not register anything are unaffected.
 */
export function hookExceptionLayer(): void {
  const prototype = ExceptionsHandler.prototype as unknown as Hooked;
  // Seam: nestjs/exceptions-handler
  if (!checkSeam(prototype, ['next'], EXCEPTIONS) || prototype[HOOKED] === true) {
    return;
  }
  prototype[HOOKED] = true;
  const { next } = prototype;
  prototype.next = function (exception, host) {
    const response = host.getArgByIndex<Answering | undefined>(1);
    const around = response?.raw?.[AROUND] ?? response?.[AROUND];
    const answer = (): void => next.call(this, exception, host);
    if (around === undefined) {
      answer();
    } else {
      around(answer);
    }
  };
}

/** @param response the response of Node */
export function aroundExceptions(response: object, around: AroundException): void {
  (response as Answering)[AROUND] = around;
}
