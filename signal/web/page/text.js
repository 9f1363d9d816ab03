// Words from elsewhere, made fit to be shown.

// Control characters, line separators, and what turns the direction of the text
// around it: U+202E makes "gpj.exe" of "exe.jpg" (Unicode TR 36, chapter 2.10).
// Joiners are letters of some scripts, such as Arabic, and make one emoji of several; elsewhere they
// are unseen.
const unseenInNames = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]|(?<=^|[\p{sc=Latin}\p{sc=Greek}\p{sc=Cyrillic}\p{sc=Common}\p{sc=Inherited}])(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])[\u200c\u200d]/gu;
const unseenInText = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u206f\ufeff]/gu;

const longestName = 64;
const longestShort = 24;
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

/** A shown name where there is little room. */
export function shortName(/** @type {string} */ name) {
  const parts = Array.from(new Intl.Segmenter().segment(name), part => part.segment);
  return parts.length > longestShort ? parts.slice(0, longestShort).join('') + '…' : name;
}

/** The first character of a shown name, as a user counts characters, in upper case. */
export function initial(/** @type {string} */ name) {
  const [first] = new Intl.Segmenter().segment(name);
  return first?.segment.toUpperCase() ?? '';
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
