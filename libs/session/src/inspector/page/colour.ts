import { signal } from '@preact/signals';

const dark = matchMedia('(prefers-color-scheme: dark)');

/** Whether the browser wants it dark. */
export const scheme = signal(dark.matches ? 'dark' : 'light');

dark.addEventListener('change', () => {
  scheme.value = dark.matches ? 'dark' : 'light';
});

/** The value of a colour of the style sheet, for what is drawn. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
