// Files over a data channel, as peer/filetransfer/doc.go has it: who has files opens a
// channel for each transfer.

import {Sha256} from './sha256.js';

export const protocol = 'parley.files.1';

const version = 1;
const mostEntries = 100000;
const mostControl = 65536; // bytes
const mostZeros = 64 * 2 ** 20;
const messageSize = 65536;
const readSize = 2 ** 20; // bytes of a file in memory at once
const full = 4 * 2 ** 20, low = 2 ** 20; // bytes that wait in the channel
const patience = 5000; // ms for the sender to hear that all is done
const blobSize = 8 * 2 ** 20; // what is kept in memory before the browser may put it on the disk

/** Ended is why a transfer is over before its end; its kind is "refused", "failed" or "broken". */
export class Ended extends Error {
  constructor(kind, code, reason, byPeer = false) {
    super(reason);
    Object.assign(this, {kind, code, byPeer});
  }
}

const refused = (code, reason) => new Ended('refused', code, reason);
const failed = (code, reason) => new Ended('failed', code, reason);
const broken = () => new Ended('broken', '', 'the channel was closed before all files were there');

/** Pipe is a channel as something to await. */
class Pipe {
  #channel;
  #inbox = [];
  #waiting = []; // to be told when anything changes
  #over = null;

  constructor(channel) {
    this.#channel = channel;
    channel.binaryType = 'arraybuffer';
    channel.bufferedAmountLowThreshold = low;
    channel.onmessage = e => {
      this.#inbox.push(e.data);
      this.#wake();
    };
    channel.onclose = channel.onerror = () => this.fail(broken());
    channel.onopen = channel.onbufferedamountlow = () => this.#wake();
  }

  /** Ends every later wait, once what came was read. */
  fail(error) {
    this.#over ??= error;
    this.#wake();
  }

  /** Waits until there is something: a string, or a Uint8Array. */
  async next() {
    await this.#until(() => this.#inbox.length);
    const data = this.#inbox.shift();
    return typeof data === 'string' ? data : new Uint8Array(data);
  }

  /** Waits until the channel is open and has room, and sends. */
  async send(data) {
    await this.#until(() => this.#channel.readyState === 'open' && this.#channel.bufferedAmount <= full && !this.#over);
    try {
      this.#channel.send(data);
    } catch {
      throw broken();
    }
  }

  say(message) { return this.send(JSON.stringify(message)); }

  /** Says why it is over, if the other side does not know, and closes. */
  close(error = null) {
    if (error && !error.byPeer && error.kind !== 'broken' && this.#channel.readyState === 'open') {
      const {code, message: reason} = error;
      try {
        this.#channel.send(JSON.stringify({type: error.kind === 'refused' ? 'refuse' : 'error', code, reason}));
      } catch { /* its buffer is full */ }
    }
    this.fail(broken());
    this.#channel.close();
  }

  async #until(holds) {
    while (!holds()) {
      if (this.#over) throw this.#over;
      await new Promise(resolve => this.#waiting.push(resolve));
    }
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** The text message in a string; an error or refusal of the other side is thrown. */
function parse(data) {
  let m;
  try {
    m = typeof data === 'string' && data.length <= mostControl ? JSON.parse(data) : null;
  } catch { /* no JSON */ }
  if (typeof m !== 'object' || m === null || typeof m.type !== 'string') throw failed('protocol', 'a control message is none');
  for (const key of ['size', 'data', 'offset', 'bytes', 'file', 'entries']) {
    if (key in m && !(Number.isSafeInteger(m[key]) && m[key] >= 0)) throw failed('protocol', `${key} is no number that may be there`);
  }
  if (m.type !== 'refuse' && m.type !== 'error') return m;
  const reason = typeof m.reason === 'string' ? m.reason.slice(0, 500) : 'no reason was given';
  throw new Ended(m.type === 'refuse' ? 'refused' : 'failed', String(m.code).slice(0, 64), reason, true);
}

/** Transfer is what both directions have; on: {accepted(), moved(bytes), done(index)}. */
class Transfer {
  pipe;
  on;

  constructor(channel, on) {
    this.pipe = new Pipe(channel);
    this.on = on;
  }

  cancel() { this.pipe.fail(failed('cancelled', 'it was ended there')); }

  /** Tells that the call is over: the browser does not tell the side that closed it. */
  lose() { this.pipe.fail(broken()); }

  /** Runs to the end; throws an Ended. */
  async run() {
    try {
      await this.work();
      this.pipe.close();
    } catch (error) {
      this.pipe.close(error);
      throw error instanceof Ended ? error : failed('protocol', String(error));
    }
  }
}

/** Sending sends a list of {name, file} (a File), or {name, dir: true}. */
export class Sending extends Transfer {
  #list;
  #id;
  #accepted = resolvers();
  #finished = resolvers();
  #isAccepted = false;
  #have = new Map();
  #ended = 0; // entries up to the last one whose bytes were all sent
  #done = new Set();

  constructor(channel, list, id, on) {
    super(channel, on);
    this.#list = list;
    this.#id = id;
  }

  async work() {
    const over = this.#listen();
    over.catch(() => {}); // it is awaited below, perhaps too late for the browser's taste
    const whileHeard = promise => Promise.race([promise, over.then(() => promise)]);
    const bytes = this.#list.reduce((sum, e) => sum + (e.file?.size ?? 0), 0);
    await this.pipe.say({type: 'offer', version, id: this.#id, entries: this.#list.length, bytes});
    for (const {name, file, dir} of this.#list) {
      await this.pipe.say(dir ? {type: 'entry', name, dir} : {type: 'entry', name, size: file.size, time: file.lastModified});
    }
    await whileHeard(this.#accepted.promise);
    this.on.accepted();
    for (let i = 0; i < this.#list.length; i++) if (!this.#list[i].dir) await whileHeard(this.#send(i));
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
          this.on.done(m.file);
          break;
      }
      if (this.#isAccepted && this.#done.size === files) {
        this.#finished.resolve();
        return;
      }
    }
  }

  async #send(i) {
    const {name, file} = this.#list[i];
    const have = this.#have.get(i);
    let hash = new Sha256(), offset = 0;
    if (have?.bytes) {
      for await (const bytes of pieces(file, 0, have.bytes, name)) hash.update(bytes);
      if (hash.hex() === have.sha256) this.on.moved(offset = have.bytes);
      else hash = new Sha256();
    }
    await this.pipe.say({type: 'file', file: i, offset});
    for await (const bytes of pieces(file, offset, file.size, name)) {
      hash.update(bytes);
      for (let at = 0; at < bytes.length; at += messageSize) {
        const message = bytes.subarray(at, at + messageSize);
        await this.pipe.send(message);
        this.on.moved(message.length);
      }
    }
    this.#ended = i + 1;
    await this.pipe.say({type: 'end', file: i, sha256: hash.hex()});
  }
}

/** The bytes of a file from offset to end, piece by piece. */
async function* pieces(file, offset, end, name) {
  for (; offset < end; offset += readSize) {
    try {
      yield new Uint8Array(await file.slice(offset, Math.min(offset + readSize, end)).arrayBuffer());
    } catch {
      throw failed('read', `failed to read ${name}: it was changed or removed`);
    }
  }
}

function resolvers() {
  const r = {};
  r.promise = new Promise((resolve, reject) => Object.assign(r, {resolve, reject}));
  return r;
}

/** Kept is what came of one file: hashed, and in a Blob, which the browser may put on the disk. */
class Kept {
  hash = new Sha256();
  #blob = new Blob();
  #fresh = [];
  #size = 0;

  add(bytes) {
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
 * Receiving takes one transfer. kept is a Map in which broken files stay for the
 * next try. on has beside Transfer's: ask(offer) that promises whether the files
 * are wanted, and file(index, entry, blob).
 */
export class Receiving extends Transfer {
  offer = null;
  #kept;
  #at = -1; // the file under way
  #next = 0; // the one that must come next
  #now = null;

  constructor(channel, kept, on) {
    super(channel, on);
    this.#kept = kept;
  }

  async work() {
    const offer = this.offer = await this.#offer();
    // What comes before the answer can only be the end: the sender gave up.
    const first = this.pipe.next().then(parse);
    const early = first.then(() => { throw failed('protocol', 'a message came before the offer was accepted'); });
    early.catch(() => {}); // nobody waits for it once the files are wanted
    if (!await Promise.race([this.on.ask(offer), early])) throw refused('declined', 'they were not wanted');
    for (const [i, e] of offer.entries.entries()) {
      const hash = this.#kept.get(key(e))?.hash;
      if (hash?.length) await this.pipe.say({type: 'have', file: i, bytes: hash.length, sha256: hash.hex()});
    }
    await this.pipe.say({type: 'accept'});
    this.on.accepted();
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
    await Promise.race([last.catch(() => {}), new Promise(resolve => setTimeout(resolve, patience))]); // for a bye
  }

  async #offer() {
    const m = parse(await this.pipe.next());
    if (m.type !== 'offer' || m.entries === undefined || m.bytes === undefined) throw failed('protocol', 'the first message is no offer');
    if (m.version !== version) throw refused('version', `version ${version} of the protocol is known here`);
    if (m.entries > mostEntries) throw refused('limit', `at most ${mostEntries} files are taken`);
    const offer = {id: String(m.id ?? '').slice(0, 64), bytes: m.bytes, entries: []};
    let left = m.bytes;
    while (offer.entries.length < m.entries) {
      const {type, name, size = 0, dir = false, time} = parse(await this.pipe.next());
      if (type !== 'entry') throw failed('protocol', 'something came in place of an entry');
      if (!nameable(name)) throw refused('name', 'a name leads out of the folder, or cannot be one');
      left -= size;
      offer.entries.push({name, size, dir: dir === true, time});
    }
    if (left !== 0) throw failed('size', 'the files have another size than was announced');
    return offer;
  }

  /** The first file at or after i. */
  #after(i) {
    const {entries} = this.offer;
    while (entries[i]?.dir) i++;
    return i;
  }

  async #control(m) {
    const {entries} = this.offer, e = entries[m.file];
    switch (m.type) {
      case 'file': {
        if (this.#now || m.file !== this.#next) throw failed('protocol', 'a file comes out of turn');
        let kept = this.#kept.get(key(e));
        if (!kept || m.offset === 0) kept = new Kept();
        if (kept.hash.length !== m.offset) throw failed('protocol', 'a file begins where nothing was before');
        this.#kept.set(key(e), kept);
        this.#now = kept;
        this.#at = m.file;
        this.#next = this.#after(m.file + 1);
        this.on.moved(m.offset);
        break;
      }
      case 'zeros':
        if (!(m.bytes <= mostZeros)) throw failed('protocol', 'too many zeros at once');
        for (let left = m.bytes; left > 0; left -= readSize) this.#data(new Uint8Array(Math.min(left, readSize)));
        break;
      case 'end':
        if (!this.#now || m.file !== this.#at) throw failed('protocol', 'the end of a file came that has not begun');
        await this.#end(e, m.sha256);
        break;
      case 'bye':
        throw failed('size', 'the sender said goodbye with files left to send');
    }
  }

  #data(bytes) {
    if (!this.#now) throw failed('protocol', 'data came that belong to no file');
    const e = this.offer.entries[this.#at];
    if (this.#now.hash.length + bytes.length > e.size) throw failed('size', `${e.name} has more than the ${e.size} bytes that were announced`);
    this.#now.add(bytes);
    this.on.moved(bytes.length);
  }

  async #end(e, sha256) {
    const kept = this.#now, i = this.#at;
    this.#now = null;
    if (kept.hash.length < e.size) throw failed('size', `${e.name} ended after ${kept.hash.length} bytes, ${e.size} were announced`);
    this.#kept.delete(key(e));
    if (kept.hash.hex() !== sha256) throw failed('hash', `${e.name} has another SHA-256 than announced, and was thrown away`);
    this.on.file(i, e, kept.blob);
    this.on.done(i);
    await this.pipe.say({type: 'done', file: i});
  }
}

const key = e => `${e.size} ${e.name}`;

/** Whether a name may stand below a folder. */
function nameable(name) {
  return typeof name === 'string' && name.length > 0 && name.length <= 4096 && !/[\u0000-\u001f\u007f]/.test(name)
    && name.split('/').every(part => part !== '' && part !== '.' && part !== '..' && part.length <= 255);
}
