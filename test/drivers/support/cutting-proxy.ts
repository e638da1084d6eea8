import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between an application and its server, and cuts a connection that says a word, before the server hears it or after. */
export interface CuttingProxy extends AsyncDisposable {
  readonly port: number;
  /** What cuts the next connection that says so. */
  cut: { readonly word: string; readonly isHeard: boolean } | undefined;
  /** Whether all that is said is lost without a word. */
  isSilent: boolean;
}

export async function startCuttingProxy({ hostname, port }: URL): Promise<CuttingProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
    let isCut = false;
    upstream.on('data', (chunk) => {
      if (isCut) {
        client.destroy();
      } else if (!proxy.isSilent) {
        client.write(chunk);
      }
    });
    client.on('data', (chunk) => {
      const { cut } = proxy;
      if (proxy.isSilent) {
        return;
      }
      if (cut === undefined || !chunk.includes(cut.word)) {
        upstream.write(chunk);
        return;
      }
      proxy.cut = undefined;
      if (cut.isHeard) {
        isCut = true;
        upstream.write(chunk);
      } else {
        client.destroy();
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: CuttingProxy = {
    port: (server.address() as AddressInfo).port,
    cut: undefined,
    isSilent: false,
    async [Symbol.asyncDispose]() {
      sockets.forEach((socket) => socket.destroy());
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}
