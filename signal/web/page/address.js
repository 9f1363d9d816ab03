// What the address of the page requests:
//
//   ?as=NAME     signs in as NAME
//   &call=NAME   calls NAME, once signed in
//   &answer=1    answers the calls that come, if the server permits it; else they ring
//   &say=TEXT    sends a line when the channel opens; repeatable
//   &files=1     takes files without asking, if the server permits it
//   &video=0     sends no camera
//   &audio=0     sends no microphone
//   &manual=1    calls without the server: the user copies and pastes the lines of the two peers
//   #token=TOKEN signs in where the server wants one; behind the #, it is in no log.
//                The page takes it out of the address. Another one renews the session
//
// Without the permission of the server (parley serve --page-auto) nothing is sent before a click.

import {typedName} from './text.js';

/**
 * @typedef {object} Address
 * @property {string | null} name to sign in with; null for none
 * @property {string} call whom to call, '' for nobody
 * @property {boolean} answer
 * @property {string[]} say
 * @property {boolean} files
 * @property {boolean} audio
 * @property {boolean} video
 * @property {boolean} manual
 */

/**
 * Returns what the query of an address requests.
 * @param {string} search such as "?as=alice"
 * @returns {Address}
 */
export function parseAddress(search) {
  const params = new URLSearchParams(search), name = params.get('as');
  return {
    name: name === null ? null : typedName(name),
    call: typedName(params.get('call') ?? ''),
    answer: params.get('answer') === '1',
    say: params.getAll('say'),
    files: params.get('files') === '1',
    audio: params.get('audio') !== '0',
    video: params.get('video') !== '0',
    manual: params.get('manual') === '1',
  };
}

/**
 * Reports whether the server permits this page to act by its address alone. A page of another site can
 * go back in the history, and the browser then shows what it has kept, without asking the server.
 */
export function isPermitted() {
  const [navigation] = performance.getEntriesByType('navigation');
  const isBack = /** @type {PerformanceNavigationTiming | undefined} */ (navigation)?.type === 'back_forward';
  return document.documentElement.dataset.auto !== undefined && !isBack;
}

/**
 * Returns the token behind the #, or null for none. It leaves the address bar, where others see it
 * and copies of the address carry it on. The history entry keeps it for a reload.
 * @returns {string | null}
 */
export function takeToken() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const token = hash.get('token');
  if (token === null) return history.state?.token ?? null;
  hash.delete('token');
  const rest = String(hash);
  history.replaceState({token}, '', location.pathname + location.search + (rest && `#${rest}`));
  return token;
}
