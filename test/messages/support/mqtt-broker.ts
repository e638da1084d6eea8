import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** The little of `aedes` that is needed here. */
interface Aedes {
  handle(socket: Socket): unknown;
  close(callback: () => void): void;
}

interface AedesPackage {
  readonly Aedes: { createBroker(): Promise<Aedes> };
}

const PACKAGE: string = 'aedes';

/** Whether the broker is installed: an installation from before it was needed has none. */
export const hasMqttBroker = await import(PACKAGE).then(
  () => true,
  () => false,
);

export interface MqttBroker {
  readonly url: string;
  close(): Promise<void>;
}

/** Starts a broker of MQTT in this process, on a free port. */
export async function startMqttBroker(): Promise<MqttBroker> {
  const { Aedes } = (await import(PACKAGE)) as AedesPackage;
  const broker = await Aedes.createBroker();
  const server = createServer((socket) => void broker.handle(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      await new Promise<void>((resolve) => broker.close(resolve));
      await closed;
    },
  };
}
