// Receives files over a data channel, as peer/filetransfer/doc.go specifies.

import {Sha256} from './sha256.js';
import {failed, parse, refused, Transfer, version} from './transfer.js';

const maxEntries = 10000; // each file is a link in the conversation
const maxZeros = 64 * 2 ** 20;
const zerosSize = 2 ** 20; // bytes in memory at once
const byePatience = 5000; // ms for the sender to hear that all is done
const maxNamesUnasked = 2 ** 20, maxNames = 32 * 2 ** 20; // characters
const maxUnanswered = 16 * 2 ** 20; // bytes that may wait for the user's answer
const blobSize = 8 * 2 ** 20; // what is kept in memory before the browser may put it on the disk

/** Kept is what was received of one file: hashed, and in a Blob, which the browser may put on the disk. */
class Kept {
  hash = new Sha256();
  #blob = new Blob();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #fresh = [];
  #size = 0;

  add(/** @type {Uint8Array<ArrayBuffer>} */ bytes) {
    this.hash.update(bytes);
    this.#fresh.push(bytes);
    this.#size += bytes.length;
    if (this.#size >= blobSize) this.#merge();
  }

  /** All of it, as a Blob. */
  get blob() {
    this.#merge();
    return this.#blob;
  }

  #merge() {
    this.#blob = new Blob([this.#blob, ...this.#fresh]);
    this.#fresh = [];
    this.#size = 0;
  }
}

/**
 * @typedef {{name: string, size: number, dir: boolean, time?: number}} OfferedEntry
 * @typedef {object} Offer
 * @property {string} id of the transfer, the same when it is tried again
 * @property {number} bytes of all files
 * @property {number} count of the entries
 * @property {OfferedEntry[]} entries those that were read when the user is asked: all, unless their names are long
 */

/**
 * @typedef {object} BesideTransferEvents
 * @property {(offer: Offer) => Promise<boolean>} ask resolves to whether the files are wanted
 * @property {(entry: OfferedEntry, blob: Blob) => void} file one is complete
 * @typedef {BesideTransferEvents & import('./transfer.js').TransferEvents} ReceivingEvents
 */

/** Receiving takes one transfer. */
export class Receiving extends Transfer {
  /** @type {Offer | null} */
  offer = null;
  #kept;
  #on;
  #left = 0; // bytes of the entries that are not read yet
  #names = 0; // characters of those that are
  #at = -1; // the file under way
  #next = 0; // the one that must come next
  /** @type {Kept | null} */
  #now = null;

  /**
   * @param {RTCDataChannel} channel
   * @param {Map<string, Kept>} kept broken files, for the next attempt
   * @param {ReceivingEvents} on
   */
  constructor(channel, kept, on) {
    super(channel);
    this.pipe.maxInbox = maxUnanswered;
    this.#kept = kept;
    this.#on = on;
  }

  /** @override */
  async work() {
    const offer = await this.#readOffer();
    await this.#readEntries(offer, maxNamesUnasked);
    const asked = await this.#ask(offer);
    this.pipe.maxInbox = Infinity;
    await this.#readEntries(offer, maxNames);
    if (offer.entries.length < offer.count) throw refused('limit', `the names have more than ${maxNames} characters`);
    if (this.#left !== 0) throw failed('size', 'the files have another size than was announced');
    for (const [i, e] of offer.entries.entries()) {
      const hash = this.#kept.get(key(e))?.hash;
      if (hash?.length) await this.pipe.say({type: 'have', file: i, bytes: hash.length, sha256: hash.hex()});
    }
    await this.pipe.say({type: 'accept'});
    this.#on.accepted();
    await this.#receive(offer, asked.next ?? this.pipe.next().then(parse));
  }

  /**
   * Asks whether the files are wanted. Returns the promise of the next message; none if entries come
   * before it. Throws if they are not wanted, or the sender gives up.
   * @param {Offer} offer
   */
  async #ask(offer) {
    if (offer.entries.length < offer.count) {
      if (!await Promise.race([this.#on.ask(offer), this.pipe.over().then(() => false)])) throw declined();
      return {next: null};
    }
    // What comes before the answer can only be the end: the sender gave up.
    const first = this.pipe.next().then(parse);
    const early = first.then(() => { throw failed('protocol', 'a message came before the offer was accepted'); });
    early.catch(() => {}); // nobody waits for it once the files are wanted
    if (!await Promise.race([this.#on.ask(offer), early])) throw declined();
    return {next: first};
  }

  async #readOffer() {
    const m = parse(await this.pipe.next());
    if (m.type !== 'offer' || m.entries === undefined || m.bytes === undefined) throw failed('protocol', 'the first message is no offer');
    if (m.version !== version) throw refused('version', `version ${version} of the protocol is known here`);
    if (m.entries > maxEntries) throw refused('limit', `at most ${maxEntries} files are taken`);
    this.#left = m.bytes;
    return this.offer = {id: String(m.id ?? '').slice(0, 64), bytes: m.bytes, count: m.entries, entries: []};
  }

  /**
   * Reads the entries of an offer, until their names have more than limit characters.
   * @param {Offer} offer
   * @param {number} limit
   */
  async #readEntries(offer, limit) {
    while (offer.entries.length < offer.count && this.#names <= limit) {
      const {type, name, size = 0, dir = false, time} = parse(await this.pipe.next());
      if (type !== 'entry') throw failed('protocol', 'a message came in place of an entry');
      if (!isNameable(name)) throw refused('name', 'a name leads out of the folder, or cannot be one');
      this.#left -= size;
      this.#names += name.length;
      offer.entries.push({name, size, dir: dir === true, time});
    }
    if (offer.entries.length === offer.count && this.#left !== 0) throw failed('size', 'the files have another size than was announced');
  }

  /**
   * Receives the files, and waits for the end.
   * @param {Offer} offer
   * @param {Promise<any>} first message after the entries
   */
  async #receive(offer, first) {
    this.#next = this.#after(0);
    let last = first;
    if (this.#next < offer.entries.length) {
      await this.#control(await first);
      while (this.#next < offer.entries.length || this.#now) {
        const data = await this.pipe.next();
        if (typeof data === 'string') await this.#control(parse(data));
        else this.#data(data);
      }
      last = this.pipe.next();
    }
    await Promise.race([last.catch(() => {}), new Promise(resolve => setTimeout(resolve, byePatience))]); // for a bye
  }

  /** The first file at or after i. */
  #after(/** @type {number} */ i) {
    const entries = this.offer?.entries ?? [];
    while (entries[i]?.dir) i++;
    return i;
  }

  async #control(/** @type {any} */ m) {
    const e = this.offer?.entries[m.file];
    switch (m.type) {
      case 'file': {
        if (!e || this.#now || m.file !== this.#next) throw failed('protocol', 'a file comes out of turn');
        let kept = this.#kept.get(key(e));
        if (!kept || m.offset === 0) kept = new Kept();
        if (kept.hash.length !== m.offset) throw failed('protocol', 'a file begins where nothing was before');
        this.#kept.set(key(e), kept);
        this.#now = kept;
        this.#at = m.file;
        this.#next = this.#after(m.file + 1);
        this.#on.moved(m.offset);
        break;
      }
      case 'zeros':
        if (!(m.bytes <= maxZeros)) throw failed('protocol', 'too many zeros at once');
        for (let left = m.bytes; left > 0; left -= zerosSize) this.#data(new Uint8Array(Math.min(left, zerosSize)));
        break;
      case 'end':
        if (!e || !this.#now || m.file !== this.#at) throw failed('protocol', 'the end of a file came that has not begun');
        await this.#end(e, this.#now, m.sha256);
        break;
      case 'bye':
        throw failed('size', 'the sender said goodbye with files left to send');
    }
  }

  #data(/** @type {Uint8Array<ArrayBuffer>} */ bytes) {
    const e = this.offer?.entries[this.#at];
    if (!e || !this.#now) throw failed('protocol', 'data came that belong to no file');
    if (this.#now.hash.length + bytes.length > e.size) throw failed('size', `${e.name} has more than the ${e.size} bytes that were announced`);
    this.#now.add(bytes);
    this.#on.moved(bytes.length);
  }

  async #end(/** @type {OfferedEntry} */ e, /** @type {Kept} */ kept, /** @type {unknown} */ sha256) {
    const i = this.#at;
    this.#now = null;
    if (kept.hash.length < e.size) throw failed('size', `${e.name} ended after ${kept.hash.length} bytes, ${e.size} were announced`);
    this.#kept.delete(key(e));
    if (kept.hash.hex() !== sha256) throw failed('hash', `${e.name} has another SHA-256 than announced, and was thrown away`);
    this.#on.file(e, kept.blob);
    await this.pipe.say({type: 'done', file: i});
  }
}

/** @type {(e: OfferedEntry) => string} */
const key = e => `${e.size} ${e.name}`;

const declined = () => refused('declined', 'they were not wanted');

/** Reports whether a name can be that of a file below a folder. */
function isNameable(/** @type {unknown} */ name) {
  return typeof name === 'string' && name.length > 0 && name.length <= 4096 && !/[\u0000-\u001f\u007f]/.test(name)
    && name.split('/').every(part => part !== '' && part !== '.' && part !== '..' && part.length <= 255);
}
