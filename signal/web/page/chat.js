// The list of messages.

import {shownName, shownText} from './text.js';

const mostLines = 500;

/** Chat shows who said what, newest last, and forgets the oldest. */
export class Chat {
  #list;
  #atEnd = true;
  #frame = 0; // asked for, to follow in
  #sizes = new ResizeObserver(() => this.#follow());

  constructor(list) {
    this.#list = list;
    list.onscroll = () => { if (!this.#frame) this.#atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60; };
    // A phone's keyboard, or a turned screen, leaves less room: stay with the newest.
    this.#sizes.observe(list);
  }

  /** Adds what somebody said; returns its element. */
  say(name, text, mine) {
    const line = element('p', mine ? 'line mine' : 'line');
    const who = element('bdi', 'by', shownName(name));
    const body = element('bdi', 'body', shownText(text));
    line.append(who, element('span', 'unseen', ': '), body);
    return this.#add(line);
  }

  /** Adds a remark of the page: parts are strings, or {name} for a name. */
  note(...parts) {
    const line = element('p', 'line note');
    line.append(...parts.map(p => typeof p === 'string' ? p : element('bdi', 'who', shownName(p.name))));
    return this.#add(line);
  }

  /** Adds an element of somebody else, which may grow later. */
  add(line) {
    this.#sizes.observe(line);
    return this.#add(line);
  }

  #add(line) {
    const list = this.#list;
    list.append(line);
    while (list.childElementCount > mostLines) list.firstElementChild.remove();
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

function element(tag, className, text) {
  const e = document.createElement(tag);
  e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}
