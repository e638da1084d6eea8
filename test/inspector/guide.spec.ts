import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { renderGuide } from '../../scripts/render-guide.ts';

const GUIDE = new URL('../../docs/troubleshooting.md', import.meta.url).pathname;

describe('the guide beside the inspector', () => {
  it('has an id at each heading, and each of its links leads to one', async () => {
    const html = await renderGuide(GUIDE);

    const headings = (await readFile(GUIDE, 'utf8')).match(/^## /gm) ?? [];
    const ids = [...html.matchAll(/<h2 id="([^"]+)"/g)].map(([, id]) => id);
    const targets = [...html.matchAll(/ href="#([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(headings.length);
    expect(ids).toEqual(expect.arrayContaining(['session_ownership', 'leak', 'onmoduleinit-and-request-scope']));
    expect(targets.length).toBeGreaterThan(10);
    expect(targets.filter((id) => !ids.includes(id))).toEqual([]);
  });

  it('shows markup as text, and of a link to another page only its text', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'guide-'));
    const file = join(folder, 'guide.md');
    await writeFile(
      file,
      '# <b>A & B</b>\n\n<script>x</script> `<i>`, see [*HTTP*](places/http.md#streams), [A](#b-a-b-b)\n',
    );

    const html = await renderGuide(file);
    await rm(folder, { recursive: true });

    expect(html).toContain('<h1 id="b-a-b-b">&lt;b&gt;A &amp; B&lt;/b&gt;</h1>');
    expect(html).toContain(
      '<p>&lt;script&gt;x&lt;/script&gt; <code>&lt;i&gt;</code>, see <em>HTTP</em>, <a href="#b-a-b-b">A</a></p>',
    );
  });
});
