import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { type DemoApp, startDemo } from './support/demo-app.js';

interface Operation {
  readonly summary?: string;
  readonly requestBody?: {
    readonly content: Record<string, { readonly examples?: Record<string, { value: unknown }> }>;
  };
  readonly responses: Record<string, { readonly description: string }>;
}

interface OpenApi {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, { properties: Record<string, { description?: string }> }> };
}

describe('the documentation', () => {
  let database: TestDatabase;
  let demo: DemoApp;

  beforeAll(async () => {
    database = await createTestDatabase();
    demo = await startDemo(database.url);
  });

  afterAll(async () => {
    await demo.close();
    await database.drop();
  });

  it('is a page to read', async () => {
    const response = await fetch(`${demo.client.url}/docs`);

    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/html');
    expect(await response.text()).toContain('swagger-ui');
  });

  it.each([
    ['post', '/jobs', ['202', '400', '413', '503']],
    ['get', '/jobs', ['200', '400', '503']],
    ['get', '/jobs/{id}', ['200', '400', '404', '503']],
    ['delete', '/jobs/{id}', ['200', '400', '404', '409', '503']],
    ['get', '/jobs/{id}/results', ['200', '400', '404', '503']],
    ['get', '/jobs/{id}/events', ['200', '400', '404', '503']],
    ['get', '/health', ['200', '503']],
  ])('describes the answers of %s %s', async (method, path, statuses) => {
    const { body } = await demo.client.send<OpenApi>('/docs-json');

    const operation = body.paths[path]?.[method];

    expect(operation?.summary).toEqual(expect.any(String));
    expect(Object.keys(operation?.responses ?? {})).toEqual(statuses);
    expect(Object.values(operation?.responses ?? {}).filter(({ description }) => description === '')).toEqual([]);
  });

  it('offers examples that can be sent as they are', async () => {
    const { body } = await demo.client.send<OpenApi>('/docs-json');

    const examples = body.paths['/jobs']?.['post']?.requestBody?.content['application/json']?.examples ?? {};
    const answers = await Promise.all(Object.values(examples).map(({ value }) => demo.client.start(value)));
    await Promise.all(answers.map(({ body: run }) => demo.client.cancel<unknown>(run.id)));

    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
  });

  it.each(['StartRunRequest', 'Simulation', 'RunView', 'ResultView', 'RunPage', 'ResultPage', 'ErrorBody'])(
    'describes the fields of %s',
    async (name) => {
      const { body } = await demo.client.send<OpenApi>('/docs-json');

      expect(Object.keys(body.components.schemas[name]?.properties ?? {})).not.toEqual([]);
    },
  );
});
