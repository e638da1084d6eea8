interface Span {
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

/** Returns how many of the spans of time overlap, at most. One that begins when another ends does not overlap it. */
export function mostAtOnce(spans: readonly Span[]): number {
  const changes = spans.flatMap(({ startedAt, finishedAt }) => [
    { at: Date.parse(startedAt ?? ''), by: 1 },
    { at: Date.parse(finishedAt ?? ''), by: -1 },
  ]);
  let count = 0;
  return changes
    .toSorted((a, b) => a.at - b.at || a.by - b.by)
    .reduce((most, { by }) => Math.max(most, (count += by)), 0);
}
