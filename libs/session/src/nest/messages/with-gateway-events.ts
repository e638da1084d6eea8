import { checkSeam, type Seam } from '../../session/assert-seam.js';

const EVENTS: Seam = {
  seam: 'nestjs/gateway-events',
  of: '@nestjs/websockets',
  loss: 'No sessions are opened for the connections and disconnections of gateways',
  remedy: 'Open one in each with @InSession()',
};

export interface GatewayEventHandlers {
  readonly handleConnection: unknown;
  readonly handleDisconnect: unknown;
}

type Subscribe = (gateway: object, event: unknown) => void;

interface EventController {
  readonly subscribeConnectionEvent: Subscribe;
  readonly subscribeDisconnectEvent: Subscribe;
}

/**
 * Returns a controller of gateways that calls these handlers in place of the methods of a gateway. NestJS 12 takes the
 * handlers as arguments, NestJS 11 always calls the methods itself.
 */
export function withGatewayEvents<Controller extends object>(
  controller: Controller,
  handlers: GatewayEventHandlers,
): Controller {
  // Seam: nestjs/gateway-events
  if (!checkSeam(controller, ['subscribeConnectionEvent', 'subscribeDisconnectEvent'], EVENTS)) {
    return controller;
  }
  const own = controller as Controller & EventController;
  const events: EventController = {
    subscribeConnectionEvent: (_, event) => own.subscribeConnectionEvent(handlers, event),
    subscribeDisconnectEvent: (_, event) => own.subscribeDisconnectEvent(handlers, event),
  };
  return Object.assign(Object.create(controller) as Controller, events);
}
