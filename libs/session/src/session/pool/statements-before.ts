/** The answer of the server to one statement. */
export interface Answer {
  readonly command?: string;
}

export const NO_ANSWER: Answer & { readonly rows: readonly never[] } = { command: '', rows: [] };

interface MainStatement {
  /** Whether the main statement has parameters, which a text of several statements cannot have. */
  readonly hasValues: boolean;
}

/**
 * Statements that are sent before a main statement, in one round trip: in the same text, or ahead of it when it has
 * parameters. Their answers are dropped.
 */
export class StatementsBefore {
  readonly #text: string;
  readonly #count: number;
  /** The statements that are not in the text. */
  readonly ahead: readonly string[];

  constructor(statements: readonly string[], { hasValues }: MainStatement) {
    this.#text = hasValues ? '' : statements.map((statement) => `${statement}; `).join('');
    this.#count = statements.length;
    this.ahead = hasValues ? statements : [];
  }

  addTo(sql: string): string {
    return this.#text + sql;
  }

  isIn(text: string): boolean {
    return text.startsWith(this.#text);
  }

  /** Returns the text of the main statement alone. */
  takeFrom(text: string): string {
    return text.slice(this.#text.length);
  }

  /** Returns the answer to the main statement. */
  takeFromAnswer(answers: Answer | readonly Answer[]): Answer | readonly Answer[] {
    if (this.#count === 0) {
      return answers;
    }
    const rest = [answers].flat().slice(this.#count);
    // An empty text has no answer.
    return rest.length > 1 ? rest : (rest[0] ?? NO_ANSWER);
  }

  /** Corrects the position in an error: the server counts characters from the beginning of the whole text. */
  takeFromError(error: unknown): unknown {
    const { position } = (error ?? {}) as { position?: unknown };
    if (this.#text !== '' && typeof position === 'string') {
      const rest = Number(position) - Array.from(this.#text).length;
      Object.assign(error as object, { position: rest > 0 ? String(rest) : undefined });
    }
    return error;
  }
}
