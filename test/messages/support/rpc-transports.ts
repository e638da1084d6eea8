import { randomUUID } from 'node:crypto';
import type { AddressInfo, Server as NetServer } from 'node:net';

import type { INestMicroservice } from '@nestjs/common';
import {
  BaseRpcContext,
  ClientProxy,
  ClientProxyFactory,
  type CustomTransportStrategy,
  type MicroserviceOptions,
  type MqttOptions,
  type NatsOptions,
  type ReadPacket,
  type RedisOptions,
  type RmqOptions,
  Server,
  Transport,
  type WritePacket,
} from '@nestjs/microservices';
import type { Subscription } from 'rxjs';

import { hasMqttBroker, type MqttBroker, startMqttBroker } from './mqtt-broker.js';

const rpcForms = ['hybrid', 'standalone'] as const;

export type RpcForm = (typeof rpcForms)[number];

/** A way for messages to get to a microservice and back. */
export interface RpcTransport {
  readonly name: string;
  /** The forms of microservices that it is tested in: of what differs by the broker alone, one is enough. */
  readonly forms: readonly RpcForm[];
  makeServer(): MicroserviceOptions | Promise<MicroserviceOptions>;
  makeClient(microservice: INestMicroservice, server: MicroserviceOptions): ClientProxy;
  /** Ends what was started for a server. */
  end?(server: MicroserviceOptions): Promise<void>;
}

export const tcp: RpcTransport = {
  name: 'TCP',
  forms: rpcForms,
  makeServer: () => ({ transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } }),
  makeClient: (microservice) => {
    const { port } = microservice.unwrap<NetServer>().address() as AddressInfo;
    return ClientProxyFactory.create({ transport: Transport.TCP, options: { host: '127.0.0.1', port } });
  },
};

/** A transport as a user may write one. It hands messages over within the process, and knows when nobody listens. */
class LocalServer extends Server implements CustomTransportStrategy {
  listen(callback: () => void): void {
    callback();
  }

  close(): void {}
  on(): void {}

  unwrap<T>(): T {
    throw new Error('A LocalServer has nothing within.');
  }

  receive({ pattern, data }: ReadPacket, respond: (packet: WritePacket) => void): () => void {
    const handler = this.getHandlerByPattern(String(pattern));
    let subscription: Subscription | undefined;
    void Promise.resolve(handler?.(data, new BaseRpcContext([pattern]))).then((result) => {
      subscription = this.send(this.transformToObservable(result), respond);
    });
    return () => subscription?.unsubscribe();
  }
}

class LocalClient extends ClientProxy {
  constructor(private readonly server: LocalServer) {
    super();
  }

  async connect(): Promise<void> {}
  close(): void {}

  unwrap<T>(): T {
    throw new Error('A LocalClient has nothing within.');
  }

  protected publish(packet: ReadPacket, callback: (packet: WritePacket) => void): () => void {
    return this.server.receive(packet, callback);
  }

  protected async dispatchEvent<T>({ pattern, data }: ReadPacket): Promise<T> {
    return this.server.handleEvent(
      this.normalizePattern(pattern),
      { pattern, data },
      new BaseRpcContext([pattern]),
    ) as Promise<T>;
  }
}

export const local: RpcTransport = {
  name: 'LocalServer',
  forms: rpcForms,
  makeServer: () => ({ strategy: new LocalServer() }),
  makeClient: (_microservice, server) =>
    new LocalClient((server as { readonly strategy: CustomTransportStrategy }).strategy as LocalServer),
};

function nats(url: string): RpcTransport {
  const options: NatsOptions = { transport: Transport.NATS, options: { servers: [url] } };
  return {
    name: 'NATS',
    forms: rpcForms,
    makeServer: () => options,
    makeClient: () => ClientProxyFactory.create({ ...options, transport: Transport.NATS }),
  };
}

function redis(url: string): RpcTransport {
  const { hostname: host, port } = new URL(url);
  const options: RedisOptions = { transport: Transport.REDIS, options: { host, port: Number(port) } };
  return {
    name: 'Redis',
    forms: ['standalone'],
    makeServer: () => options,
    makeClient: () => ClientProxyFactory.create({ ...options, transport: Transport.REDIS }),
  };
}

function rabbitmq(url: string): RpcTransport {
  const makeOptions = (): RmqOptions => ({
    transport: Transport.RMQ,
    options: { urls: [url], queue: `mikro_session_test.${randomUUID()}`, queueOptions: { autoDelete: true } },
  });
  return {
    name: 'RMQ',
    forms: ['hybrid'],
    makeServer: makeOptions,
    makeClient: (_microservice, server) =>
      ClientProxyFactory.create({ ...(server as RmqOptions), transport: Transport.RMQ }),
  };
}

function mqtt(): RpcTransport {
  const started = new Map<MicroserviceOptions, MqttBroker>();
  return {
    name: 'MQTT',
    forms: ['hybrid'],
    makeServer: async () => {
      const broker = await startMqttBroker();
      const server: MqttOptions = { transport: Transport.MQTT, options: { url: broker.url } };
      started.set(server, broker);
      return server;
    },
    makeClient: (_microservice, server) =>
      ClientProxyFactory.create({ ...(server as MqttOptions), transport: Transport.MQTT }),
    end: async (server) => {
      await started.get(server)?.close();
      started.delete(server);
    },
  };
}

/** The brokers, each with the variable that says where one is, and an example of it. */
const brokers = [
  ['NATS', 'NATS_URL', 'nats://127.0.0.1:4222', nats],
  ['Redis', 'REDIS_URL', 'redis://127.0.0.1:6379', redis],
  ['RabbitMQ', 'RABBITMQ_URL', 'amqp://guest:guest@127.0.0.1:5672', rabbitmq],
] as const;

/** All that can be reached from here. */
export function findTransports(): RpcTransport[] {
  const reached = brokers.flatMap(([name, variable, example, make]) => {
    const url = process.env[variable];
    if (url === undefined) {
      process.stderr.write(`${name} is not tested: set ${variable}, for example to ${example}, to test it too.\n`);
      return [];
    }
    return [make(url)];
  });
  if (!hasMqttBroker) {
    process.stderr.write('MQTT is not tested: run `npm install`, which brings its broker, the package aedes.\n');
  }
  return [tcp, local, ...(hasMqttBroker ? [mqtt()] : []), ...reached];
}
