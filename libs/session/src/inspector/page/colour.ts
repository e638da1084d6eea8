import { signal } from '@preact/signals';

const dark = matchMedia('(prefers-color-scheme: dark)');

/** The colour scheme that the browser asks for. */
export const scheme = signal(dark.matches ? 'dark' : 'light');

dark.addEventListener('change', () => {
  scheme.value = dark.matches ? 'dark' : 'light';
});

/** Returns the value of a colour of the style sheet, for drawings. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
