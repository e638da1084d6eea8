import { existsSync } from 'node:fs';

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Finds a Chromium of this machine: the one of CHROMIUM_PATH, or one at a usual place. */
export function findBrowser(): string | undefined {
  const given = process.env['CHROMIUM_PATH'];
  return given === undefined || given === '' ? PLACES.find((path) => existsSync(path)) : given;
}
