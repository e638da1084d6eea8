import type { AddressInfo, Server as NetServer } from 'node:net';

import type { INestMicroservice } from '@nestjs/common';
import {
  BaseRpcContext,
  ClientProxy,
  ClientProxyFactory,
  type CustomTransportStrategy,
  type MicroserviceOptions,
  type NatsOptions,
  type ReadPacket,
  Server,
  Transport,
  type WritePacket,
} from '@nestjs/microservices';
import type { Subscription } from 'rxjs';

/** A way for messages to get to a microservice and back. */
export interface RpcTransport {
  readonly name: string;
  makeServer(): MicroserviceOptions;
  makeClient(microservice: INestMicroservice, server: MicroserviceOptions): ClientProxy;
}

export const tcp: RpcTransport = {
  name: 'TCP',
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
  makeServer: () => ({ strategy: new LocalServer() }),
  makeClient: (_microservice, server) =>
    new LocalClient((server as { readonly strategy: CustomTransportStrategy }).strategy as LocalServer),
};

function nats(url: string): RpcTransport {
  const options: NatsOptions = { transport: Transport.NATS, options: { servers: [url] } };
  return {
    name: 'NATS',
    makeServer: () => options,
    makeClient: () => ClientProxyFactory.create({ ...options, transport: Transport.NATS }),
  };
}

/** All that can be reached from here. */
export function findTransports(): RpcTransport[] {
  const url = process.env['NATS_URL'];
  if (url !== undefined) {
    return [tcp, local, nats(url)];
  }
  process.stderr.write('NATS is not tested: set NATS_URL, for example to nats://127.0.0.1:4222, to test it too.\n');
  return [tcp, local];
}
