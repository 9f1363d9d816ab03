// One transfer of files in the conversation.

import {element} from './dom.js';
import {shownText} from './text.js';

const ticks = 200; // ms between two updates of the progress
const savePause = 250; // ms between two files: Chromium drops some that are saved faster

/** Card shows a transfer with its question, its progress and its end. */
export class Card {
  element = element('div', 'line file');
  cancel = () => {};
  #bar = element('progress', '');
  #state = element('span', 'state');
  #buttons = element('span', 'row');
  #links = element('ul', 'got');
  #total;
  #here = 0; // bytes
  #since = 0; // performance.now() of the first byte
  #first = 0; // bytes that did not have to come
  #timer = 0;
  #single = false;

  /**
   * @param {string} words such as "You send"
   * @param {{name?: string, count: number, bytes: number}} files the name of the first, how many, and their size
   * @param {boolean} mine whether we send them
   */
  constructor(words, files, mine) {
    this.#total = files.bytes;
    if (mine) this.element.classList.add('mine');
    const rest = files.count - 1;
    const name = element('bdi', 'who', shownText(files.name ?? 'nothing'));
    const head = element('p', 'head');
    head.append(`${words} `, name, rest > 0 ? ` and ${rest} more, ` : ', ', size(this.#total));
    this.#bar.max = this.#total || 1;
    this.#bar.setAttribute('aria-label', 'Progress');
    this.#bar.hidden = true;
    this.#state.setAttribute('aria-live', 'off'); // the log around it would read out every number
    const foot = element('div', 'below');
    foot.append(this.#state, this.#buttons);
    this.element.append(head, this.#bar, foot, this.#links);
  }

  /** Asks whether the files are wanted. @returns {Promise<boolean>} */
  ask() {
    return new Promise(resolve => {
      this.#show('');
      this.#offer(['Take', 'primary', () => resolve(true)], ['No, thanks', '', () => resolve(false)]);
    });
  }

  wait(/** @type {string} */ words) {
    this.#show(words);
    this.#offer(['Cancel', '', () => this.cancel()]);
  }

  /** Shows the progress from now on. single is whether there is one file to receive. */
  begin(/** @type {boolean} */ single) {
    this.#single = single;
    this.#here = this.#first = this.#since = 0;
    this.#bar.hidden = false;
    this.#offer(['Cancel', '', () => this.cancel()]);
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#progress(), ticks);
  }

  /** Counts bytes that were sent or received. */
  moved(/** @type {number} */ n) {
    if (!this.#since || n > 2 ** 20) { // found, not sent
      this.#since = performance.now();
      this.#first = this.#here + n;
    }
    this.#here += n;
  }

  /** Offers a received file, to be saved. */
  link(/** @type {{name: string}} */ entry, /** @type {Blob} */ blob) {
    const a = element('a', '', `Save ${shownText(entry.name)}`);
    a.href = URL.createObjectURL(blob);
    a.download = shownText(entry.name.split('/').at(-1));
    const item = element('li', '');
    item.append(a);
    this.#links.append(item);
    // A browser asks before a page saves several at once; one was just wanted.
    if (this.#single && navigator.userActivation?.isActive) a.click();
  }

  end(/** @type {string} */ words, /** @type {'good' | 'busy' | 'bad'} */ tone) {
    clearInterval(this.#timer);
    this.#progress();
    this.#bar.hidden = tone !== 'busy';
    this.#show(words);
    this.element.dataset.tone = tone;
    this.#offer();
    this.#offerAll();
  }

  #offerAll() {
    if (this.#links.childElementCount > 1) this.#offer(['Save all', '', () => this.#saveAll()]);
  }

  async #saveAll() {
    const words = this.#state.textContent ?? '', links = [...this.#links.querySelectorAll('a')];
    for (const [i, link] of links.entries()) {
      link.click();
      this.#show(`Saving ${i + 1} of ${links.length}`);
      await new Promise(resolve => setTimeout(resolve, savePause));
    }
    this.#show(words);
    this.#offerAll();
  }

  #progress() {
    this.#bar.value = this.#here;
    const seconds = (performance.now() - this.#since) / 1000;
    const rate = (this.#here - this.#first) / seconds;
    const words = [`${size(this.#here)} of ${size(this.#total)}`];
    if (this.#since && seconds > 1 && rate > 0) words.push(`${size(rate)}/s`, `${left((this.#total - this.#here) / rate)} left`);
    this.#show(words.join(' · '));
  }

  #show(/** @type {string} */ words) { this.#state.textContent = words; }

  /** @param {[words: string, className: string, act: () => void][]} buttons */
  #offer(...buttons) {
    this.#buttons.replaceChildren(...buttons.map(([words, look, act]) => {
      const b = element('button', look, words);
      b.type = 'button';
      b.onclick = () => {
        this.#offer();
        act();
      };
      return b;
    }));
  }
}

/** Returns a number of bytes for people. */
function size(/** @type {number} */ n) {
  let unit = -1;
  for (; n >= 1023.95 || unit < 0 && n >= 1024; n /= 1024) unit++;
  return unit < 0 ? `${Math.round(n)} bytes` : `${n.toFixed(1)} ${'KMGTP'[unit]}iB`;
}

/** Returns a remaining time for people. */
function left(/** @type {number} */ seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
