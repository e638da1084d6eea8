/** Keeps the latest items. Each has a key that grows. */
export class Ring<Item extends { readonly key: number }> {
  readonly #items: Item[] = [];
  #next = 0;
  #key = 0;

  constructor(private readonly size: number) {}

  /** The key of the next item. */
  get nextKey(): number {
    return this.#key + 1;
  }

  /** Adds an item. Replaces the oldest item where the ring is full. */
  add(item: Item): void {
    this.#key = item.key;
    this.#items[this.#next] = item;
    this.#next = (this.#next + 1) % this.size;
  }

  /** Returns the items with a greater key, the oldest first. */
  after(key: number): Item[] {
    const count = Math.min(this.#key - key, this.#items.length);
    if (count <= 0) {
      return [];
    }
    const start = this.#next - count;
    return start >= 0
      ? this.#items.slice(start, this.#next)
      : [...this.#items.slice(start), ...this.#items.slice(0, this.#next)];
  }
}
