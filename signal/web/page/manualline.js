// The lines of a manual exchange: "parley-offer-1." or "parley-answer-1." and, in base64url, the
// length of the DEFLATE data (2 bytes), an object {id, name, sdp} as JSON and raw DEFLATE, and the
// CRC-32 of that data (4 bytes).

const version = 1;
const maxJSON = 200000; // bytes
const overhead = 6; // bytes beside the DEFLATE
export const maxLine = 96 * 1024; // characters

/**
 * @typedef {object} Line
 * @property {'offer' | 'answer'} type
 * @property {string} id of the offer, and of the answer to it
 * @property {string} name of who made it
 * @property {string} sdp with all candidates
 */

/** @param {Line} line @returns {Promise<string>} */
export async function makeLine({type, id, name, sdp}) {
  const json = new TextEncoder().encode(JSON.stringify({id, name, sdp}));
  const packed = await transform(json, new CompressionStream('deflate-raw'), 0xffff);
  const bytes = new Uint8Array(packed.length + overhead), view = new DataView(bytes.buffer);
  view.setUint16(0, packed.length);
  bytes.set(packed, 2);
  view.setUint32(packed.length + 2, crc32(packed));
  const base64 = btoa(Array.from(bytes, b => String.fromCharCode(b)).join(''));
  return `parley-${type}-${version}.${base64.replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')}`;
}

/**
 * Returns the last line in a text, which may have words around it and white space in it. The error
 * says what is wrong.
 * @param {string} text
 * @returns {Promise<Line>}
 */
export async function parseLine(text) {
  if (text.length > maxLine) throw new Error(`This text is longer than ${maxLine.toLocaleString()} characters.`);
  const dense = text.replace(/[\s\p{Cf}]/gu, '');
  const all = [...dense.matchAll(/parley-(offer|answer)-(\d{1,9})\./g)];
  const found = all[all.length - 1];
  if (!found) throw new Error('This is no line of parley, which begins with parley-offer-1. or parley-answer-1.');
  const [prefix, type, number] = found, [body] = /** @type {RegExpExecArray} */ (/^[\w-]*/.exec(dense.slice(found.index + prefix.length)));
  if (Number(number) !== version) throw new Error(`The line has version ${number}; this page reads version ${version}.`);
  const json = JSON.parse(new TextDecoder().decode(await unpack(body, prefix.length)));
  const {id, name = '', sdp} = json ?? {};
  if (typeof id !== 'string' || !/^[!-~]{1,64}$/.test(id) || typeof name !== 'string' || name.length > 64 || typeof sdp !== 'string' || !sdp) {
    throw new Error('The line is invalid.');
  }
  return {type: type === 'offer' ? 'offer' : 'answer', id, name, sdp};
}

/**
 * Returns the JSON in the body of a line.
 * @param {string} body
 * @param {number} prefix characters before it
 */
async function unpack(body, prefix) {
  const length = body.length < 4 ? 1 : decode(body.slice(0, 4))[0] << 8 | decode(body.slice(0, 4))[1];
  const want = Math.ceil((length + overhead) * 4 / 3);
  if (body.length < want) {
    throw new Error(`The line is incomplete: it has ${prefix + body.length} of ${prefix + want} characters. Copy all of it.`);
  }
  const bytes = decode(body.slice(0, want)), packed = bytes.slice(2, length + 2);
  if (crc32(packed) !== new DataView(bytes.buffer).getUint32(length + 2)) {
    throw new Error('The line is damaged: its checksum is wrong. Copy it again.');
  }
  return transform(packed, new DecompressionStream('deflate-raw'), maxJSON);
}

/** @param {string} base64url */
function decode(base64url) {
  const text = base64url.replace(/-/g, '+').replace(/_/g, '/');
  return Uint8Array.from(atob(text), c => c.charCodeAt(0));
}

/**
 * Returns what a stream makes of some bytes.
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @param {CompressionStream | DecompressionStream} stream
 * @param {number} most bytes
 */
async function transform(bytes, stream, most) {
  const reader = new Blob([bytes]).stream().pipeThrough(stream).getReader();
  const parts = [];
  for (let size = 0; ;) {
    const {done, value} = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    size += value.length;
    if (size > most) {
      await reader.cancel();
      throw new Error('The line is invalid: it is too long.');
    }
    parts.push(value);
  }
}

/** Returns the CRC-32 (IEEE 802.3). @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = -1;
  for (const b of bytes) {
    crc ^= b;
    for (let i = 0; i < 8; i++) crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
