import { readFile } from 'node:fs/promises';

import MarkdownIt from 'markdown-it';

/** A link within the guide, or to another host. The other pages of the documentation are not beside the inspector. */
const KEPT_LINK = /^(?:#|https:)/;

/**
 * Renders the guide of errors as a page whose headings can be linked to. Markup in it is shown as text.
 *
 * @param file the path of the guide, in Markdown
 */
export async function renderGuide(file: string): Promise<string> {
  const markdown = new MarkdownIt({ html: false });
  markdown.core.ruler.push('ids', ({ tokens }) => {
    tokens.forEach((token, index) => {
      if (token.type === 'heading_open') {
        token.attrSet('id', toId(tokens[index + 1]?.content ?? ''));
      }
      token.children = token.children === null ? null : withoutLostLinks(token.children);
    });
  });
  const content = markdown
    .render(await readFile(file, 'utf8'))
    .replaceAll('<table>', '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>')
    .replaceAll('</table>', '</table></div>');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Troubleshooting sessions</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
</head>
<body>
<main class="guide">
${content}</main>
</body>
</html>
`;
}

type Token = ReturnType<MarkdownIt['parse']>[number];

/** Leaves the text of a link that leads nowhere. */
function withoutLostLinks(tokens: readonly Token[]): Token[] {
  let isLost = false;
  return tokens.filter((token) => {
    if (token.type === 'link_open') {
      isLost = !KEPT_LINK.test(token.attrGet('href') ?? '');
      return !isLost;
    }
    return token.type !== 'link_close' || !isLost;
  });
}

/** The id that the site of the documentation gives the heading. */
function toId(heading: string): string {
  return heading.toLowerCase().replaceAll(/\W+/g, '-').replaceAll(/^-|-$/g, '');
}
