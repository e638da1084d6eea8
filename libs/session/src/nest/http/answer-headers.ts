import type { OutgoingHttpHeaders } from 'node:http';

/** An object that holds headers of an answer: a response, or Fastify's reply, which keeps some headers itself. */
export interface HeaderHolder {
  getHeaders(): OutgoingHttpHeaders;
  removeHeader(name: string): unknown;
  setHeader?(name: string, value: unknown): unknown;
  header?(name: string, value: unknown): unknown;
}

/** Remembers the headers of an answer that has not begun, and can restore them. */
export class AnswerHeaders {
  readonly #holder: HeaderHolder;
  readonly #before: OutgoingHttpHeaders;

  constructor(holder: HeaderHolder) {
    this.#holder = holder;
    this.#before = { ...holder.getHeaders() };
  }

  restore(): void {
    const holder = this.#holder;
    const now = holder.getHeaders();
    for (const name of Object.keys(now)) {
      if (!Object.hasOwn(this.#before, name)) {
        holder.removeHeader(name);
      }
    }
    for (const [name, value] of Object.entries(this.#before)) {
      if (now[name] !== value) {
        (holder.setHeader ?? holder.header)?.call(holder, name, value);
      }
    }
  }
}
