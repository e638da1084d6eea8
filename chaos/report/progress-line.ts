const TERMINAL_MS = 250;
const LOG_MS = 5_000;

/** Says where a long run is: one line that is rewritten on a terminal, a line every few seconds elsewhere. */
export class ProgressLine {
  readonly #timer: NodeJS.Timeout;
  readonly #toText: () => string;

  constructor(toText: () => string) {
    this.#toText = toText;
    this.#timer = setInterval(() => this.#write(), process.stdout.isTTY ? TERMINAL_MS : LOG_MS);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    if (process.stdout.isTTY) {
      process.stdout.write('\n');
    }
  }

  #write(): void {
    const text = this.#toText();
    process.stdout.write(process.stdout.isTTY ? `\r\x1B[2K${text.slice(0, process.stdout.columns - 1)}` : `${text}\n`);
  }
}
