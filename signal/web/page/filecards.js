// Files in the conversation: a card for each transfer, with its questions, its
// progress and what came of it.

import {Receiving, Sending} from './files.js';
import {shownName, shownText} from './text.js';

const mostLinks = 500;
const ticks = 200; // ms between two looks at the progress

/**
 * Files sends what the person picks or drops, and receives what the person wants.
 * on: {card(element), channel() that opens one, takes() that tells not to ask}.
 */
export class Files {
  #on;
  #peer = '';
  #running = new Set();
  #unfinished = []; // sending that broke: {peer, list, id, card}
  #agreed = new Map(); // ids that were wanted, and their cards
  #kept = new Map(); // by peer, what is left of broken transfers

  constructor(on) {
    this.#on = on;
  }

  /** Tells with whom a call stands now; what broke before goes on. */
  talking(peer) {
    this.#peer = peer;
    const again = this.#unfinished.filter(u => u.peer === peer);
    this.#unfinished = this.#unfinished.filter(u => u.peer !== peer);
    for (const u of again) this.#send(u);
  }

  /** Tells that the call is over. */
  over() {
    for (const transfer of this.#running) transfer.lose();
  }

  /** Sends a list of {name, file} and {name, dir}. */
  send(list) {
    if (list.length) this.#send({peer: this.#peer, list, id: crypto.getRandomValues(new Uint32Array(4)).join('-'), card: null});
  }

  /** Takes a channel that the other side opened for files. */
  take(channel, peer) {
    if (!this.#kept.has(peer)) this.#kept.set(peer, new Map());
    let card = null;
    const receiving = new Receiving(channel, this.#kept.get(peer), {
      ask: offer => {
        const agreed = this.#agreed.get(`${peer} ${offer.id}`);
        card = agreed ?? new Card(`${shownName(peer)} sends you`, offer.entries, false);
        card.cancel = () => receiving.cancel();
        if (!agreed) this.#on.card(card.element);
        const wanted = agreed || this.#on.takes() ? Promise.resolve(true) : card.ask();
        return wanted.then(yes => {
          if (yes) this.#agreed.set(`${peer} ${offer.id}`, card);
          return yes;
        });
      },
      accepted: () => card.begin(),
      moved: n => card.moved(n),
      file: (i, entry, blob) => card.link(entry, blob),
      done: () => {},
    });
    this.#run(receiving, () => card, error => error.kind === 'broken' && this.#agreed.has(`${peer} ${receiving.offer?.id}`)
      ? 'The call broke; it goes on where it was when they are sent again.' : null);
  }

  #send(u) {
    const card = u.card ??= new Card('You send', u.list.map(e => ({...e, size: e.file?.size ?? 0})), true);
    const sending = new Sending(this.#on.channel(), u.list, u.id, {
      accepted: () => card.begin(),
      moved: n => card.moved(n),
      done: () => {},
    });
    card.cancel = () => sending.cancel();
    card.wait(`Waiting for ${shownName(u.peer)} to take them`);
    if (!card.element.isConnected) this.#on.card(card.element);
    this.#run(sending, () => card, error => {
      if (error.kind !== 'broken') return null;
      this.#unfinished.push(u);
      return `The call broke; it goes on in the next one with ${shownName(u.peer)}.`;
    });
  }

  async #run(transfer, card, comeback) {
    this.#running.add(transfer);
    try {
      await transfer.run();
      card()?.end('Done, and verified.', 'good');
    } catch (error) {
      const again = comeback(error);
      const whose = error.byPeer ? 'The other side: ' : '';
      card()?.end(again ?? `Not done. ${whose}${shownText(error.message)}`, again ? 'busy' : 'bad');
    }
    this.#running.delete(transfer);
  }
}

/** What a drop or a file field holds, folders with all that is in them. */
export async function listed(data) {
  const entries = [...data.items ?? []].map(item => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...data.files].map(file => ({name: file.name, file}));
  const list = [];
  for (const entry of entries) await walk(entry, entry.name, list);
  return list;
}

async function walk(entry, name, list) {
  if (entry.isFile) {
    list.push({name, file: await new Promise((resolve, reject) => entry.file(resolve, reject))});
    return;
  }
  list.push({name, dir: true});
  const reader = entry.createReader();
  for (;;) { // it gives at most a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const e of some) await walk(e, `${name}/${e.name}`, list);
  }
}

/** Card is one transfer in the conversation. */
class Card {
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
  #shown = 0; // links
  #single;

  constructor(words, entries, mine) {
    const files = entries.filter(e => !e.dir);
    this.#total = files.reduce((sum, e) => sum + e.size, 0);
    this.#single = files.length === 1;
    if (mine) this.element.classList.add('mine');
    const rest = entries.length - 1;
    const name = element('bdi', 'who', shownText(entries[0]?.name ?? 'nothing'));
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

  /** Asks whether the files are wanted. */
  ask() {
    return new Promise(resolve => {
      this.#show('');
      this.#offer(['Take', 'primary', () => resolve(true)], ['No, thanks', '', () => resolve(false)]);
    });
  }

  wait(words) {
    this.#show(words);
    this.#offer(['Cancel', '', () => this.cancel()]);
  }

  begin() {
    this.#here = this.#first = this.#since = 0;
    this.#bar.hidden = false;
    this.#offer(['Cancel', '', () => this.cancel()]);
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#progress(), ticks);
  }

  moved(n) {
    if (!this.#since || n > 2 ** 20) { // found, not sent
      this.#since = performance.now();
      this.#first = this.#here + n;
    }
    this.#here += n;
  }

  /** Offers a file that came, to be saved. */
  link(entry, blob) {
    if (++this.#shown > mostLinks) return;
    const a = element('a', '', `Save ${shownText(entry.name)}`);
    a.href = URL.createObjectURL(blob);
    a.download = shownText(entry.name.split('/').pop());
    const item = element('li', '');
    item.append(a);
    this.#links.append(item);
    // A browser asks before a page saves several at once; one was just wanted.
    if (this.#single && navigator.userActivation?.isActive) a.click();
  }

  end(words, tone) {
    clearInterval(this.#timer);
    this.#progress();
    this.#bar.hidden = tone !== 'busy';
    this.#show(words);
    this.element.dataset.tone = tone;
    this.#offer();
  }

  #progress() {
    this.#bar.value = this.#here;
    const seconds = (performance.now() - this.#since) / 1000;
    const rate = (this.#here - this.#first) / seconds;
    const words = [`${size(this.#here)} of ${size(this.#total)}`];
    if (this.#since && seconds > 1 && rate > 0) words.push(`${size(rate)}/s`, `${left((this.#total - this.#here) / rate)} left`);
    this.#show(words.join(' · '));
  }

  #show(words) { this.#state.textContent = words; }

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

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

/** A number of bytes for people. */
function size(n) {
  let unit = -1;
  for (; n >= 1023.95 || unit < 0 && n >= 1024; n /= 1024) unit++;
  return unit < 0 ? `${Math.round(n)} bytes` : `${n.toFixed(1)} ${'KMGTP'[unit]}iB`;
}

function left(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  return seconds < 3600 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
