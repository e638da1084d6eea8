/**
 * Finds an element of the page by its id.
 *
 * @template {HTMLElement} Kind
 * @param {string} id
 * @param {new () => Kind} kind
 * @returns {Kind}
 */
export function find(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) {
    throw new TypeError(`The page has no "${id}" of that kind.`);
  }
  return found;
}

/**
 * Makes an element. Its content is text, never markup: data of users is shown as it was sent.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {string} className
 * @param {...(string | Node)} content
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, className, ...content) {
  const element = document.createElement(name);
  element.className = className;
  element.append(...content);
  return element;
}

/**
 * Shows the id of a session or a run. A narrow page shows only its first part.
 *
 * @param {string} id
 */
export function makeId(id) {
  return make('span', 'id', shortId(id), make('span', 'rest', id.slice(8)));
}

/** @param {string} id */
export function shortId(id) {
  return id.slice(0, 8);
}

/** Keeps one element per item, by key, so that an element keeps the focus. */
export class KeyedElements {
  /** @type {Map<number | string, HTMLElement>} */
  #elements = new Map();
  #parent;

  /** @param {HTMLElement} parent */
  constructor(parent) {
    this.#parent = parent;
  }

  /**
   * @template Item
   * @param {readonly Item[]} items
   * @param {{ key: (item: Item) => number | string, make: (item: Item) => HTMLElement }} how
   * @returns {HTMLElement[]} in the order of the items
   */
  show(items, { key, make }) {
    const kept = new Map(items.map((item) => [key(item), this.#elements.get(key(item)) ?? make(item)]));
    for (const [old, element] of this.#elements) {
      if (!kept.has(old)) {
        element.remove();
      }
    }
    this.#elements = kept;
    const elements = [...kept.values()];
    elements.forEach((element, place) => {
      const there = this.#parent.children[place];
      if (there !== element) {
        this.#parent.insertBefore(element, there ?? null);
      }
    });
    return elements;
  }
}
