// A process of its own for the network before the database, which all bytes take some time to pass, each way. It sends the
// URL of the database through this network, and ends with the process that started it.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const HOST = '127.0.0.1';
const [, , databaseUrl = '', latency = ''] = process.argv;
const url = new URL(databaseUrl);
const { hostname, port } = url;

/** Timers of one length fire in the order in which they were set. */
function later(work: () => void): void {
  setTimeout(work, Number(latency));
}

function pass(from: Socket, to: Socket): void {
  // A message of several parts would wait for the acknowledgement of the first.
  from.setNoDelay();
  from.on('data', (chunk) => later(() => to.write(chunk)));
  from.on('error', () => undefined);
  from.on('close', () => later(() => to.destroy()));
}

const server = createServer((client) => {
  const database = connect(Number(port || 5432), hostname);
  pass(client, database);
  pass(database, client);
});
server.listen(0, HOST);
await once(server, 'listening');
url.host = `${HOST}:${(server.address() as AddressInfo).port}`;
process.once('disconnect', () => server.close());
process.send?.(url.href);
