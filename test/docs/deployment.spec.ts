import { readFile } from 'node:fs/promises';

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

describe('the deployment of the demo', () => {
  it.each([
    ['Dockerfile', 'dockerfile'],
    ['compose.yaml', 'yaml'],
  ])('is shown in docs/production.md as it is: %s', async (file, language) => {
    const page = await read('docs/production.md');

    expect(page).toContain(`\`\`\`${language}\n${await read(file)}\`\`\`\n`);
  });

  it('runs programs that the build makes', async () => {
    const text = (await read('Dockerfile')) + (await read('compose.yaml'));
    const programs = [...text.matchAll(/\bdist\/([\w/]+)\.js\b/g)].map(([, name = '']) => name);

    expect(programs).toEqual(['main', 'worker/main']);
    await expect(Promise.all(programs.map((name) => read(`src/${name}.ts`)))).resolves.toHaveLength(2);
  });

  it('says in .env.example what compose.yaml wants to know', async () => {
    const wanted = [...(await read('compose.yaml')).matchAll(/\$\{(\w+)/g)].map(([, name]) => name);
    const given = [...(await read('.env.example')).matchAll(/^(\w+)=/gm)].map(([, name]) => name);

    expect(given).toEqual([...new Set(wanted)]);
  });
});
