import { checkSeam, type Seam } from '../../session/assert-seam.js';
import type { MessageScope } from './message-scope.js';

const GATEWAYS: Seam = {
  seam: 'nestjs/gateway-pipeline',
  of: '@nestjs/websockets',
  loss: 'The session of a message does not wait for its handler, nor know of its failure',
};

type Next = () => Promise<unknown>;

/** The parts of the pipeline of all gateways of one application that know how a handler came to its end. */
export interface GatewayPipeline {
  readonly interceptorsConsumer: {
    intercept(
      interceptors: unknown,
      args: unknown,
      instance: object,
      callback: unknown,
      next: Next,
      type: string,
    ): unknown;
  };
  readonly wsProxy: { handleError(...args: unknown[]): unknown };
}

/**
 * Tells the scope of a message what cannot be seen from outside of the pipeline: when its handler has settled, which
 * may be after the stream of an interceptor was unsubscribed from, and whether an exception filter had to answer.
 */
export function watchGatewayPipeline(pipeline: GatewayPipeline, currentScope: () => MessageScope | undefined): void {
  const { interceptorsConsumer, wsProxy } = pipeline;
  // Seam: nestjs/gateway-pipeline
  if (!checkSeam(interceptorsConsumer, ['intercept'], GATEWAYS) || !checkSeam(wsProxy, ['handleError'], GATEWAYS)) {
    return;
  }
  const { intercept } = interceptorsConsumer;
  interceptorsConsumer.intercept = (interceptors, args, instance, callback, next, type) => {
    const follow: Next = () => {
      const scope = currentScope();
      const handled = next();
      return scope === undefined ? handled : scope.follow(handled);
    };
    return intercept.call(interceptorsConsumer, interceptors, args, instance, callback, follow, type);
  };
  const { handleError } = wsProxy;
  wsProxy.handleError = (...args) => {
    currentScope()?.fail();
    return handleError.apply(wsProxy, args);
  };
}
