/** One message of PostgreSQL's protocol. The first ones of a connection have no type. */
export interface Message {
  readonly type: string;
  readonly bytes: Buffer;
}

const HEADER_BYTES = 5;
const ENCRYPTION_REQUESTS: ReadonlySet<number> = new Set([80877103, 80877104]);

/** Cuts what a client or a server sends into messages. */
export class MessageReader {
  #rest = Buffer.alloc(0);
  #isTyped: boolean;
  #plainBytes = 0;

  constructor(from: 'client' | 'server') {
    this.#isTyped = from === 'server';
  }

  /** The answer to a request for encryption is one byte, which is no message. */
  expectPlainByte(): void {
    this.#plainBytes += 1;
  }

  *read(chunk: Buffer): Generator<Message> {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let length = this.#nextLength(); length <= this.#rest.length; length = this.#nextLength()) {
      const bytes = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      yield this.#toMessage(bytes);
    }
  }

  #nextLength(): number {
    if (this.#plainBytes > 0) {
      return 1;
    }
    if (this.#rest.length < HEADER_BYTES) {
      return Infinity;
    }
    return this.#isTyped ? 1 + this.#rest.readInt32BE(1) : this.#rest.readInt32BE(0);
  }

  #toMessage(bytes: Buffer): Message {
    if (this.#plainBytes > 0) {
      this.#plainBytes -= 1;
      return { type: '', bytes };
    }
    if (this.#isTyped) {
      return { type: String.fromCharCode(bytes[0] ?? 0), bytes };
    }
    this.#isTyped = !asksForEncryption({ type: '', bytes });
    return { type: '', bytes };
  }
}

export function asksForEncryption({ type, bytes }: Message): boolean {
  return type === '' && bytes.length === 8 && ENCRYPTION_REQUESTS.has(bytes.readInt32BE(4));
}

/** The SQL text of a simple query, or of a statement that is prepared. */
export function findText({ type, bytes }: Message): string | undefined {
  switch (type) {
    case 'Q':
      return bytes.toString('utf8', HEADER_BYTES, bytes.length - 1);
    case 'P': {
      const start = bytes.indexOf(0, HEADER_BYTES) + 1;
      return bytes.toString('utf8', start, bytes.indexOf(0, start));
    }
    default:
      return undefined;
  }
}
