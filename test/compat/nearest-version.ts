import { runProgram } from './run-program.ts';

const VIEW_MS = 60_000;

/**
 * Finds the version of a package that is nearest to one that another package has: the same, the newest before it of the
 * same minor, or the first after it. A package is not released each time that those are which belong to it.
 */
export async function findNearestVersion(name: string, wanted: string): Promise<string> {
  if (wanted === 'latest') {
    return wanted;
  }
  const output = await runProgram('npm', ['view', name, 'versions', '--json'], { cwd: '.', timeout: VIEW_MS });
  const versions = (JSON.parse(output) as string[]).filter((version) => /^\d+\.\d+\.\d+$/.test(version));
  const sorted = versions.toSorted(compare);
  const [major, minor] = wanted.split('.');
  const before = sorted.filter((each) => each.startsWith(`${major}.${minor}.`) && compare(each, wanted) <= 0);
  const found = before.at(-1) ?? sorted.find((each) => compare(each, wanted) > 0);
  if (found === undefined) {
    throw new Error(`There is no version of ${name} near ${wanted}.`);
  }
  return found;
}

function compare(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true });
}
