import type { InspectorChange, InspectorState } from 'nestjs-mikro-session/inspector';

/** What the page would know: the state, with the changes that came after it. */
export class EventReader implements AsyncDisposable {
  readonly changes: InspectorChange[] = [];
  state: InspectorState | undefined;
  readonly #abort = new AbortController();
  readonly #reading: Promise<void>;
  #wake = Promise.withResolvers<void>();

  private constructor(response: Response) {
    this.#reading = this.#read(response).catch(() => undefined);
  }

  static async open(url: string, init: RequestInit = {}): Promise<EventReader> {
    const response = await fetch(url, init);
    if (response.status !== 200) {
      throw new Error(`Got ${response.status}`);
    }
    const reader = new EventReader(response);
    await reader.until(() => reader.state !== undefined);
    return reader;
  }

  async until(isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      await this.#wake.promise;
    }
  }

  /** Waits for the end of the stream. */
  get ended(): Promise<void> {
    return this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#reading;
  }

  async #read({ body }: Response): Promise<void> {
    const decoder = new TextDecoder();
    let rest = '';
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    this.#abort.signal.addEventListener('abort', () => void reader.cancel());
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      rest += decoder.decode(read.value, { stream: true });
      const messages = rest.split('\n\n');
      rest = messages.pop() ?? '';
      messages.forEach((message) => this.#take(message));
      this.#wake.resolve();
      this.#wake = Promise.withResolvers();
    }
  }

  #take(message: string): void {
    const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(message) ?? [];
    if (event === 'state') {
      this.state = JSON.parse(data ?? '') as InspectorState;
    } else if (event === 'change') {
      this.changes.push(JSON.parse(data ?? '') as InspectorChange);
    }
  }
}
