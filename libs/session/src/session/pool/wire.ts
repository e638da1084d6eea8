/** The messages of the protocol that are used here, as methods of the connection of node-postgres. */
export interface Wire {
  parse(statement: { readonly text: string }): void;
  bind(portal: { readonly portal: string; readonly values: readonly unknown[] }): void;
  describe(what: { readonly type: 'P'; readonly name: string }): void;
  execute(portal: { readonly portal: string; readonly rows: number }): void;
  close(what: { readonly type: 'P'; readonly name: string }): void;
  sync(): void;
}
