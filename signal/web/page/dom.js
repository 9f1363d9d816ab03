// Elements of the page.

/**
 * Returns the element with an id, which is in the HTML.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`there is no element #${id}`);
  return found;
}

/** @type {(id: string) => HTMLInputElement} */
export const inputById = id => /** @type {HTMLInputElement} */ (byId(id));

/** @type {(id: string) => HTMLButtonElement} */
export const buttonById = id => /** @type {HTMLButtonElement} */ (byId(id));

/** @type {(id: string) => HTMLVideoElement} */
export const videoById = id => /** @type {HTMLVideoElement} */ (byId(id));

/**
 * Returns a new element with a text.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, className = '', text = '') {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/**
 * Calls act when a form is submitted, in place of the browser's own request.
 * @param {string} id
 * @param {() => void} act
 */
export function onSubmit(id, act) {
  byId(id).addEventListener('submit', e => {
    e.preventDefault();
    act();
  });
}
