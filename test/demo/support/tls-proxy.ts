import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import { certificate, key } from './self-signed.js';

export interface TlsProxy extends AsyncDisposable {
  /** The database URL, by way of the proxy, which encrypts what goes to the client. */
  readonly url: string;
}

/** Stands before a database that knows no TLS, and does not let in who does not ask for it. */
export async function startTlsProxy(databaseUrl: string): Promise<TlsProxy> {
  const target = new URL(databaseUrl);
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    keep(client);
    client.once('data', (request) => {
      if (request.readInt32BE(4) !== 80_877_103) {
        client.destroy();
        return;
      }
      client.write('S');
      const secure = new TLSSocket(client, { isServer: true, key, cert: certificate });
      const upstream = connect(Number(target.port), target.hostname);
      [secure, upstream].forEach(keep);
      secure.pipe(upstream).pipe(secure);
      secure.on('close', () => upstream.destroy());
      upstream.on('close', () => secure.destroy());
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(databaseUrl);
  url.hostname = '127.0.0.1';
  url.port = String((server.address() as AddressInfo).port);
  return {
    url: url.href,
    async [Symbol.asyncDispose]() {
      server.close();
      sockets.forEach((socket) => socket.destroy());
      await Promise.resolve();
    },
  };
}
