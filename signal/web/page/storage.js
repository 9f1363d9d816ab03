// JSON values in the browser's storage.

/**
 * Store keeps one JSON value under a key of localStorage or sessionStorage. A browser may forbid
 * storage, and it may be full: then the value is lost, without an error.
 */
export class Store {
  #area;
  #key;

  /**
   * @param {() => Storage} area returns the storage; reading window.localStorage may throw
   * @param {string} key
   */
  constructor(area, key) {
    this.#area = area;
    this.#key = key;
  }

  /** @returns {unknown} the value, or null if there is none */
  read() {
    try {
      return JSON.parse(this.#area().getItem(this.#key) ?? 'null');
    } catch {
      return null;
    }
  }

  /** @param {unknown} value null removes it */
  write(value) {
    try {
      if (value === null) this.#area().removeItem(this.#key);
      else this.#area().setItem(this.#key, JSON.stringify(value));
    } catch { /* forbidden or full */ }
  }
}

/**
 * Returns a store that lasts beyond the tab.
 * @param {string} key
 */
export function localStore(key) {
  return new Store(() => localStorage, `parley.${key}`);
}

/**
 * Returns a store that lasts as long as the tab, reloads included.
 * @param {string} key
 */
export function sessionStore(key) {
  return new Store(() => sessionStorage, `parley.${key}`);
}
