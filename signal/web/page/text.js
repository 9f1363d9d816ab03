// Words from elsewhere, made fit to be shown.

// Control characters, line separators, and what turns the direction of the text
// around it: U+202E makes "gpj.exe" of "exe.jpg" (Unicode TR 36, chapter 2.10).
const unseenInNames = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;
const unseenInText = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u206f\ufeff]/gu;

const longestName = 64;
const longestText = 65536;

/** A name as it may be shown; the wire keeps the name as it is. */
export function shownName(/** @type {unknown} */ name) {
  const clean = String(name ?? '').replace(unseenInNames, '\ufffd');
  return clean.length > longestName ? clean.slice(0, longestName) + '…' : clean;
}

/** A typed name as servers want it: composed, without spaces around it, with single ones inside. */
export function typedName(/** @type {string} */ text) {
  return text.normalize('NFC').trim().replace(/\s+/gu, ' ');
}

/** A text as it may be shown: line ends and tabs stay. */
export function shownText(/** @type {unknown} */ text) {
  const clean = String(text ?? '').replace(/\r\n?/g, '\n').replace(unseenInText, '\ufffd');
  return clean.length > longestText ? clean.slice(0, longestText) + '…' : clean;
}

/** Whether a sorts before b, compared as UTF-8 bytes as the terminal does. */
export function sortsBefore(/** @type {string} */ a, /** @type {string} */ b) {
  const encoder = new TextEncoder();
  const x = encoder.encode(a), y = encoder.encode(b);
  for (let i = 0; i < x.length && i < y.length; i++) {
    if (x[i] !== y[i]) return x[i] < y[i];
  }
  return x.length < y.length;
}

/** A duration in seconds as 1:05 or 1:02:03. */
export function clock(/** @type {number} */ seconds) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const h = Math.floor(seconds / 3600), m = Math.floor(seconds / 60) % 60, s = Math.floor(seconds) % 60;
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
