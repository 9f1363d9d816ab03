// The transfers of files in the calls of this page, each with a card in the conversation.

import {Card} from './card.js';
import {Receiving} from './receiving.js';
import {Sending} from './sending.js';
import {shownName, shownText} from './text.js';

/**
 * @typedef {import('./transfer.js').Ended} Ended
 * @typedef {import('./sending.js').Entry} Entry
 * @typedef {{peer: string, list: Entry[], id: string, card: Card | null}} Outgoing
 */

/**
 * @typedef {object} FilesEvents
 * @property {(element: HTMLElement) => void} card there is one to show
 * @property {() => RTCDataChannel} channel opens one
 * @property {() => boolean} takes whether files are taken without asking
 */

/** Files sends what the user selects or drops, and receives what the user wants. */
export class Files {
  #on;
  #peer = '';
  /** @type {Set<import('./transfer.js').Transfer>} */
  #running = new Set();
  /** @type {Outgoing[]} that broke */
  #unfinished = [];
  /** @type {Map<string, Card>} by peer and id, those that were wanted */
  #agreed = new Map();
  /** @type {Map<string, Map<string, any>>} by peer, what is left of broken transfers */
  #kept = new Map();

  /** @param {FilesEvents} on */
  constructor(on) {
    this.#on = on;
  }

  /** Handles the begin of a call; what broke before goes on. */
  talking(/** @type {string} */ peer) {
    this.#peer = peer;
    const again = this.#unfinished.filter(u => u.peer === peer);
    this.#unfinished = this.#unfinished.filter(u => u.peer !== peer);
    for (const u of again) this.#send(u);
  }

  /** Handles the end of a call. */
  over() {
    for (const transfer of this.#running) transfer.lose();
  }

  send(/** @type {Entry[]} */ list) {
    if (list.length) this.#send({peer: this.#peer, list, id: crypto.getRandomValues(new Uint32Array(4)).join('-'), card: null});
  }

  /** Receives by a channel that the peer has opened for files. */
  take(/** @type {RTCDataChannel} */ channel, /** @type {string} */ peer) {
    const kept = this.#kept.get(peer) ?? new Map();
    this.#kept.set(peer, kept);
    /** @type {Card | null} */
    let card = null;
    const receiving = new Receiving(channel, kept, {
      ask: offer => {
        const agreed = this.#agreed.get(`${peer} ${offer.id}`);
        const made = card = agreed ?? new Card(`${shownName(peer)} sends you`, {...offer, name: offer.entries[0]?.name}, false);
        card.cancel = () => receiving.cancel();
        if (!agreed) this.#on.card(card.element);
        const wanted = agreed || this.#on.takes() ? Promise.resolve(true) : card.ask();
        return wanted.then(yes => {
          if (yes) this.#agreed.set(`${peer} ${offer.id}`, made);
          return yes;
        });
      },
      accepted: () => card?.begin(receiving.offer?.entries.filter(e => !e.dir).length === 1),
      moved: n => card?.moved(n),
      file: (entry, blob) => card?.link(entry, blob),
    });
    this.#run(receiving, peer, () => card, error => error.kind === 'broken' && this.#agreed.has(`${peer} ${receiving.offer?.id}`)
      ? 'The call broke; it goes on where it was when they are sent again.' : null);
  }

  #send(/** @type {Outgoing} */ u) {
    const bytes = u.list.reduce((sum, e) => sum + (e.file?.size ?? 0), 0);
    const card = u.card ??= new Card('You send', {name: u.list[0].name, count: u.list.length, bytes}, true);
    const sending = new Sending(this.#on.channel(), u.list, u.id, {
      accepted: () => card.begin(false),
      moved: n => card.moved(n),
    });
    card.cancel = () => sending.cancel();
    card.wait(`Waiting for ${shownName(u.peer)} to take them`);
    if (!card.element.isConnected) this.#on.card(card.element);
    this.#run(sending, u.peer, () => card, error => {
      if (error.kind !== 'broken') return null;
      this.#unfinished.push(u);
      return `The call broke; it goes on in the next one with ${shownName(u.peer)}.`;
    });
  }

  /**
   * Runs a transfer. again returns what to show if it goes on later, null if it does not.
   * @param {import('./transfer.js').Transfer} transfer
   * @param {string} peer
   * @param {() => Card | null} card
   * @param {(error: Ended) => string | null} again
   */
  async #run(transfer, peer, card, again) {
    this.#running.add(transfer);
    try {
      await transfer.run();
      card()?.end('Done, and verified.', 'good');
    } catch (e) {
      const error = /** @type {Ended} */ (e), later = again(error);
      const whose = error.byPeer ? `${shownName(peer)}: ` : '';
      card()?.end(later ?? `Not done. ${whose}${shownText(error.message)}`, later ? 'busy' : 'bad');
    }
    this.#running.delete(transfer);
  }
}
