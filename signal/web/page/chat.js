// The list of messages.

import {element} from './dom.js';
import {shownName, shownText} from './text.js';

const maxLines = 500;

/** Chat shows the messages of both, newest last, and forgets the oldest. */
export class Chat {
  #list;
  #atEnd = true;
  #frame = 0; // requested, to scroll in
  #sizes = new ResizeObserver(() => this.#follow());

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
    list.onscroll = () => { if (!this.#frame) this.#atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60; };
    // A phone's keyboard, or a turned screen, leaves less room: stay with the newest.
    this.#sizes.observe(list);
  }

  /**
   * Adds a message; returns its element.
   * @param {string} name
   * @param {string} text
   * @param {boolean} mine
   */
  say(name, text, mine) {
    const line = element('p', mine ? 'line mine' : 'line');
    const who = element('bdi', 'by', shownName(name));
    const body = element('bdi', 'body', shownText(text));
    line.append(who, element('span', 'visually-hidden', ': '), body);
    return this.#add(line);
  }

  /**
   * Adds a remark of the page.
   * @param {(string | {name: string})[]} parts
   */
  note(...parts) {
    const line = element('p', 'line note');
    line.append(...parts.map(p => typeof p === 'string' ? p : element('bdi', 'who', shownName(p.name))));
    return this.#add(line);
  }

  /** Adds an element, which may grow later. */
  add(/** @type {HTMLElement} */ line) {
    this.#sizes.observe(line);
    return this.#add(line);
  }

  /** Removes all lines. */
  clear() {
    this.#list.replaceChildren();
  }

  #add(/** @type {HTMLElement} */ line) {
    const list = this.#list;
    list.append(line);
    while (list.childElementCount > maxLines) list.firstElementChild?.remove();
    // Once a frame, however many lines come: where the list ends is known only after a layout.
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#follow();
    });
    return line;
  }

  #follow() {
    if (this.#atEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }
}
