/** A use of sessions or connections that the library has refused, or warned of. */
export interface Misuse {
  /** The `code` of its error, or the kind of the warning. */
  readonly code: string;
  /** The label of the scope that it concerns. */
  readonly scope: string;
  readonly message: string;
}

export type OnMisuse = (misuse: Misuse) => void;
