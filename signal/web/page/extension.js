// The member parley of offers and answers. signal/doc.go specifies it in the section Extension.

const version = 1;
const maxReason = 200; // characters

/**
 * Returns the extension of an offer or an answer as {number, processed, browser, rejected or
 * answerRejected}, or null if it has none, or a malformed one.
 * @param {any} parley the member
 * @param {'offer' | 'answer'} type
 * @returns {any}
 */
export function parseExtension(parley, type) {
  const {version: got, number, browser = false} = parley ?? {};
  const processed = type === 'offer' ? parley?.processed ?? 0 : 0;
  const name = type === 'answer' ? 'rejected' : 'answerRejected';
  const reason = parley?.[name];
  if (got !== version || !isNumber(number) || processed !== 0 && !isNumber(processed)) return null;
  if (typeof browser !== 'boolean' || reason !== undefined && typeof reason !== 'string') return null;
  return {number, processed, browser, [name]: reason === undefined ? '' : cleanReason(reason)};
}

/**
 * Returns the member parley of a description of this page. An empty reason is left out.
 * @param {number} number
 * @param {{processed?: number, rejected?: string, answerRejected?: string}} members
 */
export function newExtension(number, {processed, rejected, answerRejected}) {
  /** @type {Record<string, unknown>} */
  const extension = {version, number, browser: true};
  if (processed) extension.processed = processed;
  if (rejected) extension.rejected = cleanReason(rejected);
  if (answerRejected) extension.answerRejected = cleanReason(answerRejected);
  return extension;
}

function isNumber(/** @type {any} */ value) {
  return Number.isSafeInteger(value) && value > 0;
}

function cleanReason(/** @type {string} */ text) {
  return text.replace(/[^ -~]/gu, '?').trim().slice(0, maxReason).trim() || 'no reason given';
}
