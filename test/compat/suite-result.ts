import { readFileSync } from 'node:fs';

/** Characters of an error. */
const LONGEST = 400;

/** What became of the tests of some files. */
export interface SuiteResult {
  readonly passed: number;
  readonly leftOut: number;
  /** The full names of the tests that failed, with the beginning of their errors, and of the files that could not be run. */
  readonly failures: readonly string[];
  /** Why tests were left out, without repetition. */
  readonly reasons: readonly string[];
}

interface Report {
  readonly numPassedTests: number;
  readonly numPendingTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

/** Reads the report that Jest wrote, and what the tests have said meanwhile. */
export function readSuiteResult(reportPath: string, output: string): SuiteResult {
  const { numPassedTests, numPendingTests, testResults } = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  const failures = testResults.flatMap(({ name, status, assertionResults }) => {
    const failed = assertionResults
      .filter((each) => each.status === 'failed')
      .map(({ fullName, failureMessages }) => `${fullName}: ${shorten(failureMessages?.[0] ?? '')}`);
    return failed.length === 0 && status === 'failed' ? [name] : failed;
  });
  if (output.includes('Connections were left behind')) {
    failures.push('Connections were left behind');
  }
  const reasons = [
    ...output.matchAll(/^(?:Left out on (.+?): ".*"\. (.+)|(?:Skipped: )?(.* (?:not tested|no Chromium).*))$/gm),
  ];
  return {
    passed: numPassedTests,
    leftOut: numPendingTests,
    failures,
    reasons: unique(reasons.map(([, on, reason, other]) => other ?? `${on}: ${reason}`)),
  };
}

/** Takes what an error says, without the calls that led to it, as one line. */
function shorten(message: string): string {
  const lines = message.split('\n').map((line) => line.trim());
  const text = lines.filter((line) => line !== '' && !line.startsWith('at ')).join(' ');
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text;
}

export function joinSuiteResults(results: readonly SuiteResult[]): SuiteResult {
  return {
    passed: results.reduce((sum, { passed }) => sum + passed, 0),
    leftOut: results.reduce((sum, { leftOut }) => sum + leftOut, 0),
    failures: results.flatMap(({ failures }) => failures),
    reasons: unique(results.flatMap(({ reasons }) => reasons)),
  };
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
