import { connect, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

import type { Random } from '../random.js';
import type { PlannedRequest } from './request-plan.js';

const LONGEST_WAIT_MS = 600;

/** Sends bytes by hand: a part of a request, several in one packet, or garbage. Then ends the connection in some way. */
export async function sendRaw(port: number, plan: PlannedRequest, random: Random): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port });
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('error', () => undefined);
  socket.resume();
  const bytes = Buffer.from(random.chance(0.1) ? toGarbage(random) : toText(plan), 'latin1');
  const part = bytes.subarray(0, Math.ceil(bytes.length * plan.share));
  const middle = random.integer(0, part.length);
  socket.write(part.subarray(0, middle));
  await wait(random.integer(0, 50));
  socket.write(part.subarray(middle));
  await wait(random.integer(0, LONGEST_WAIT_MS));
  await end(socket, plan, closed);
}

async function end(socket: Socket, plan: PlannedRequest, closed: Promise<void>): Promise<void> {
  switch (plan.end) {
    case 'half-close':
      socket.end();
      await Promise.race([closed, wait(LONGEST_WAIT_MS)]);
      break;
    case 'reset':
      socket.resetAndDestroy();
      break;
    case 'destroy':
      break;
  }
  socket.destroy();
  await closed;
}

function toText({ method, path, headers, body, followers }: PlannedRequest): string {
  const lines = Object.entries({ host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}`);
  const first = `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body}`;
  return [first, ...followers.map((next) => `GET ${next} HTTP/1.1\r\nhost: localhost\r\n\r\n`)].join('');
}

function toGarbage(random: Random): string {
  return String.fromCharCode(...Array.from({ length: random.integer(1, 400) }, () => random.integer(0, 255)));
}
