import type { TestDatabase } from './test-database.ts';

/** Reads the texts of all notes that are committed. */
export async function findTexts(database: TestDatabase, order: 'id' | 'text' = 'id'): Promise<string[]> {
  const rows = await database.query<{ text: string }>(`select text from note order by ${order}`);
  return rows.map(({ text }) => text);
}
