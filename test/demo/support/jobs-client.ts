import type { ErrorBody } from '../../../src/errors/error-body.js';
import type { ResultPage } from '../../../src/runs-api/result-page.js';
import type { RunPage } from '../../../src/runs-api/run-page.js';
import type { RunView } from '../../../src/runs/run-view.js';

/** What becomes of a type on its way through JSON. */
type Json<T> = T extends Date ? string : T extends object ? { readonly [K in keyof T]: Json<T[K]> } : T;

export type RunJson = Json<RunView>;

export interface Answer<Body> {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Body;
}

export interface ServerEvent {
  readonly type: string;
  readonly data: RunJson & { readonly rate?: number; readonly timeLeft?: number };
}

/** Talks to the demo over HTTP. */
export class JobsClient {
  constructor(readonly url: string) {}

  async send<Body = Json<ErrorBody>>(path: string, init?: RequestInit): Promise<Answer<Body>> {
    const response = await fetch(this.url + path, init);
    return { status: response.status, headers: response.headers, body: (await response.json()) as Body };
  }

  start<Body = RunJson>(request: unknown): Promise<Answer<Body>> {
    const body = typeof request === 'string' ? request : JSON.stringify(request);
    return this.send('/jobs', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  }

  find(id: string): Promise<Answer<RunJson>> {
    return this.send(`/jobs/${id}`);
  }

  list(query = ''): Promise<Answer<Json<RunPage>>> {
    return this.send(`/jobs${query}`);
  }

  results(id: string, query = '?limit=1000'): Promise<Answer<Json<ResultPage>>> {
    return this.send(`/jobs/${id}/results${query}`);
  }

  cancel<Body = RunJson>(id: string): Promise<Answer<Body>> {
    return this.send(`/jobs/${id}`, { method: 'DELETE' });
  }

  /** Reads the events until the server ends the stream. */
  async events(id: string): Promise<ServerEvent[]> {
    const response = await fetch(`${this.url}/jobs/${id}/events`);
    const text = await response.text();
    return text
      .trim()
      .split('\n\n')
      .map((block) => {
        const fields = new Map(block.split('\n').map((line) => [line.split(': ', 1)[0], line.replace(/^\w+: /, '')]));
        return { type: fields.get('event') ?? '', data: JSON.parse(fields.get('data') ?? '') as ServerEvent['data'] };
      });
  }

  /** Waits for the end of a run. */
  async untilEnd(id: string): Promise<RunJson> {
    const last = (await this.events(id)).at(-1);
    if (last?.type !== 'end') {
      throw new Error(`The events of the run ${id} ended without an end`);
    }
    return last.data;
  }

  /** Starts a run and waits for its end. */
  async complete(request: unknown): Promise<RunJson> {
    const { body } = await this.start(request);
    return this.untilEnd(body.id);
  }
}
