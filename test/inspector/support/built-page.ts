import { buildPage } from '../../../scripts/build-page.ts';

let building: Promise<void> | undefined;

/** Makes the page from its sources, as the build of the library does. */
export function builtPage(): Promise<void> {
  return (building ??= buildPage());
}
