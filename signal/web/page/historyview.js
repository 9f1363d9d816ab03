// The dialog of recent calls.

import {newDialog} from './dialogs.js';
import {buttonById, byId, element} from './dom.js';
import {describeCall} from './history.js';
import {clock, shownName} from './text.js';

/** HistoryView lists the calls of this browser, and suggests their names where one is typed. */
export class HistoryView {
  #history;
  #call;
  #list = byId('historyList');
  #names = byId('callNames');
  #dialog = newDialog('historyDialog', {opener: 'historyBtn', onopen: () => this.#fill()});

  /**
   * @param {import('./history.js').CallHistory} history
   * @param {(name: string) => void} call
   */
  constructor(history, call) {
    this.#history = history;
    this.#call = call;
    buttonById('clearHistoryBtn').onclick = () => {
      history.clear();
      this.#fill();
      this.update();
      this.#dialog.close();
    };
    this.update();
  }

  open() { this.#dialog.open(); }

  /** Takes the names that can be suggested from the history. */
  update() {
    this.#names.replaceChildren(...this.#history.names.map(name => new Option('', name)));
  }

  #fill() {
    const {entries} = this.#history;
    this.#list.replaceChildren(...entries.map(entry => this.#item(entry)));
    byId('historyEmpty').hidden = entries.length > 0;
    byId('clearHistoryBtn').hidden = !entries.length;
  }

  /** @param {import('./history.js').CallEntry} entry */
  #item(entry) {
    const item = element('li', entry.answered ? 'past' : 'past unanswered'), name = shownName(entry.name), at = new Date(entry.at);
    const facts = element('span', 'small'), button = element('button', '', 'Call');
    const time = element('time', '', at.toLocaleString(undefined, {dateStyle: 'medium', timeStyle: 'short'}));
    time.dateTime = at.toISOString();
    facts.append(`${describeCall(entry, clock)}, `, time);
    button.type = 'button';
    button.setAttribute('aria-label', `Call ${name}`);
    button.onclick = () => {
      this.#dialog.close();
      this.#call(entry.name);
    };
    item.append(element('bdi', 'who', name), facts, button);
    return item;
  }
}
