// Sends files over a data channel, as peer/filetransfer/doc.go specifies.

import {Sha256} from './sha256.js';
import {failed, parse, Transfer, version} from './transfer.js';

const messageSize = 65536;
const readSize = 2 ** 20; // bytes of a file in memory at once

/** @typedef {{name: string, file?: File, dir?: boolean}} Entry a file, or a folder */

/** Sending sends a list of files and folders. */
export class Sending extends Transfer {
  #list;
  #id;
  #on;
  #accepted = resolvers();
  #finished = resolvers();
  #isAccepted = false;
  /** @type {Map<number, {bytes: number, sha256: string}>} */
  #have = new Map();
  #ended = 0; // entries up to the last one whose bytes were all sent
  /** @type {Set<number>} */
  #done = new Set();

  /**
   * @param {RTCDataChannel} channel
   * @param {Entry[]} list
   * @param {string} id of the transfer, the same when it is tried again
   * @param {import('./transfer.js').TransferEvents} on
   */
  constructor(channel, list, id, on) {
    super(channel);
    this.#list = list;
    this.#id = id;
    this.#on = on;
  }

  /** @override */
  async work() {
    const over = this.#listen();
    over.catch(() => {}); // it is awaited below, perhaps too late for the browser
    const whileHeard = (/** @type {Promise<void>} */ promise) => Promise.race([promise, over.then(() => promise)]);
    const bytes = this.#list.reduce((sum, e) => sum + (e.file?.size ?? 0), 0);
    await this.pipe.say({type: 'offer', version, id: this.#id, entries: this.#list.length, bytes});
    for (const {name, file, dir} of this.#list) {
      await this.pipe.say(dir ? {type: 'entry', name, dir} : {type: 'entry', name, size: file?.size, time: file?.lastModified});
    }
    await whileHeard(this.#accepted.promise);
    this.#on.accepted();
    for (const [i, {name, file}] of this.#list.entries()) if (file) await whileHeard(this.#send(i, name, file));
    await whileHeard(this.#finished.promise);
    await this.pipe.say({type: 'bye'}).catch(() => {});
  }

  async #listen() {
    const files = this.#list.filter(e => !e.dir).length;
    for (;;) {
      const m = parse(await this.pipe.next());
      switch (m.type) {
        case 'have': {
          const size = this.#list[m.file]?.file?.size;
          if (this.#isAccepted || size === undefined || !(m.bytes <= size)) throw failed('protocol', 'the receiver has what it cannot have');
          this.#have.set(m.file, m);
          break;
        }
        case 'accept':
          this.#isAccepted = true;
          this.#accepted.resolve();
          break;
        case 'done':
          if (!(m.file < this.#ended) || this.#list[m.file].dir) throw failed('protocol', 'the receiver has done what it cannot have done');
          this.#done.add(m.file);
          break;
      }
      if (this.#isAccepted && this.#done.size === files) {
        this.#finished.resolve();
        return;
      }
    }
  }

  async #send(/** @type {number} */ i, /** @type {string} */ name, /** @type {File} */ file) {
    const have = this.#have.get(i);
    let hash = new Sha256(), offset = 0;
    if (have?.bytes) {
      for await (const bytes of pieces(file, 0, have.bytes, name)) hash.update(bytes);
      if (hash.hex() === have.sha256) this.#on.moved(offset = have.bytes);
      else hash = new Sha256();
    }
    await this.pipe.say({type: 'file', file: i, offset});
    for await (const bytes of pieces(file, offset, file.size, name)) {
      hash.update(bytes);
      for (let at = 0; at < bytes.length; at += messageSize) {
        const message = bytes.subarray(at, at + messageSize);
        await this.pipe.send(message);
        this.#on.moved(message.length);
      }
    }
    this.#ended = i + 1;
    await this.pipe.say({type: 'end', file: i, sha256: hash.hex()});
  }
}

/**
 * Returns the bytes of a file from offset to end, piece by piece.
 * @param {File} file
 * @param {number} offset
 * @param {number} end
 * @param {string} name
 */
async function* pieces(file, offset, end, name) {
  for (; offset < end; offset += readSize) {
    try {
      yield new Uint8Array(await file.slice(offset, Math.min(offset + readSize, end)).arrayBuffer());
    } catch {
      throw failed('read', `failed to read ${name}: it was changed or removed`);
    }
  }
}

/** Returns a promise, and the function that fulfils it. */
function resolvers() {
  let resolve = () => {};
  const promise = new Promise(fulfil => { resolve = () => fulfil(undefined); });
  return {promise, resolve};
}
