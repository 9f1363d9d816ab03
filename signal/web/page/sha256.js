// SHA-256 (FIPS 180-4), piece by piece: crypto.subtle takes only whole files, and
// is not there at all on a page that came over plain HTTP from another machine.

/** Returns the first 32 bits of the fractional parts of roots of the first primes. */
function fractions(/** @type {number} */ root, /** @type {number} */ count) {
  const words = new Int32Array(count);
  for (let i = 0, n = 2; i < count; n++) {
    let prime = true;
    for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
    if (!prime) continue;
    const r = n ** (1 / root);
    words[i++] = (r - Math.floor(r)) * 2 ** 32 | 0;
  }
  return words;
}

const K = fractions(3, 64);
const start = fractions(2, 8);

/** Sha256 is a hash under way. */
export class Sha256 {
  #state = Int32Array.from(start);
  #words = new Int32Array(64);
  #block = new Uint8Array(64);
  #fill = 0; // bytes in block
  #length = 0;

  get length() { return this.#length; }

  clone() {
    const c = new Sha256();
    c.#state.set(this.#state);
    c.#block.set(this.#block);
    c.#fill = this.#fill;
    c.#length = this.#length;
    return c;
  }

  update(/** @type {Uint8Array} */ data) {
    this.#length += data.length;
    let at = 0;
    if (this.#fill) {
      at = Math.min(64 - this.#fill, data.length);
      this.#block.set(data.subarray(0, at), this.#fill);
      this.#fill += at;
      if (this.#fill < 64) return this;
      this.#compress(this.#block, 0);
      this.#fill = 0;
    }
    for (; at + 64 <= data.length; at += 64) this.#compress(data, at);
    this.#block.set(data.subarray(at));
    this.#fill = data.length - at;
    return this;
  }

  /** The hash of what was added so far, in hexadecimal; more may be added. */
  hex() {
    const c = this.clone(), bits = this.#length;
    const tail = new Uint8Array((c.#fill < 56 ? 64 : 128) - c.#fill);
    tail[0] = 0x80;
    const view = new DataView(tail.buffer);
    view.setUint32(tail.length - 8, Math.floor(bits / 2 ** 29));
    view.setUint32(tail.length - 4, bits * 8 % 2 ** 32);
    c.update(tail);
    return Array.from(c.#state, w => (w >>> 0).toString(16).padStart(8, '0')).join('');
  }

  #compress(/** @type {Uint8Array} */ data, /** @type {number} */ at) {
    const w = this.#words, s = this.#state;
    for (let i = 0; i < 16; i++, at += 4) w[i] = data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3];
    for (let i = 16; i < 64; i++) {
      const x = w[i - 15], y = w[i - 2];
      w[i] = w[i - 16] + w[i - 7]
        + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3)
        + ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10) | 0;
    }
    let a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
    for (let i = 0; i < 64; i++) {
      const t = h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (g ^ e & (f ^ g)) + K[i] + w[i] | 0;
      const u = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b | c & (a | b)) | 0;
      h = g; g = f; f = e; e = d + t | 0; d = c; c = b; b = a; a = t + u | 0;
    }
    s[0] += a; s[1] += b; s[2] += c; s[3] += d; s[4] += e; s[5] += f; s[6] += g; s[7] += h;
  }
}
