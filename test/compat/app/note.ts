import { EntitySchema } from '@mikro-orm/core';

export class Note {
  id!: number;
  text!: string;
}

/** Without decorators, whose package has no version for each of MikroORM. */
export const NoteSchema = new EntitySchema<Note>({
  class: Note,
  tableName: 'note',
  properties: { id: { type: 'integer', primary: true, autoincrement: true }, text: { type: 'string' } },
});
