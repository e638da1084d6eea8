import type { ComponentChildren } from 'preact';

import { formatTime } from './format.js';
import { misuses } from './store.js';

const guide = new URL('troubleshooting.html', import.meta.url).href;

export function MisuseView(): ComponentChildren {
  return (
    <section id="misuse" aria-labelledby="misuse-title">
      <h2 id="misuse-title">
        Misuse <span class="count">{misuses.value.length}</span>
      </h2>
      {misuses.value.length === 0 && <p class="empty">Nothing was refused or warned of.</p>}
      <ul class="plain feed">
        {misuses.value.toReversed().map(({ key, at, code, scope, message, remedy }) => (
          <li key={key} class="card">
            <h3>
              <span class="tag failed">{code}</span> {scope} <time class="muted">{formatTime(at)}</time>
            </h3>
            <p class="message">{message}</p>
            <p>
              <strong>What to do:</strong> {remedy}{' '}
              <a
                href={`${guide}#${code.toLowerCase()}`}
                target="_blank"
                rel="noreferrer"
                aria-label={`More in the guide, about ${code}`}
              >
                More in the guide
              </a>
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
