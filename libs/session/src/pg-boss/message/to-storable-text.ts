/** The largest number of characters of a stored text. */
const MAX_LENGTH = 10_000;

/** Whether `jsonb` can hold a text: PostgreSQL refuses the character NUL, and half of a surrogate pair. */
export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

/** Returns a text in a form that `jsonb` can hold, shortened where it is very long. */
export function toStorableText(text: string): string {
  const kept =
    text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}… (the first ${MAX_LENGTH} of ${text.length})` : text;
  return kept.toWellFormed().replaceAll('\0', String.raw`\0`);
}
