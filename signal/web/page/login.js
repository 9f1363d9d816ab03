// The card to sign in by.

import {buttonById, byId, inputById} from './dom.js';
import {shownName, shownText} from './text.js';

/** LoginView shows the card, and what the address of the page requests. */
export class LoginView {
  #store;

  /**
   * @param {import('./address.js').Address} address
   * @param {{read(): unknown, write(value: unknown): void}} store of the name, for a reload
   */
  constructor(address, store) {
    this.#store = store;
    const stored = store.read();
    byId('request').textContent = describe(address);
    byId('request').hidden = !byId('request').textContent;
    inputById('usernameInput').value = address.name || (typeof stored === 'string' ? stored : '');
    buttonById('loginBtn').textContent = address.call ? `Call ${shownName(address.call)}` : address.answer ? 'Be available' : 'Sign in';
  }

  /** Shows the card, with words about what went wrong. */
  show(/** @type {string} */ words) {
    byId('loginPage').hidden = false;
    byId('callPage').hidden = true;
    byId('loginStatus').textContent = words;
    byId('loginStatus').classList.toggle('bad', words !== '');
    buttonById('loginBtn').disabled = false;
    byId('usernameInput').focus();
  }

  /** Shows that the answer of the server is awaited. */
  signingIn(/** @type {string} */ name) {
    inputById('usernameInput').value = name;
    buttonById('loginBtn').disabled = true;
    byId('loginStatus').textContent = 'Signing in…';
    byId('loginStatus').classList.remove('bad');
  }

  /** Shows the call page in place of the card. What the address requests was requested once. */
  hide(/** @type {string} */ name) {
    this.#store.write(name);
    byId('loginPage').hidden = true;
    byId('callPage').hidden = false;
    byId('request').hidden = true;
    buttonById('loginBtn').textContent = 'Sign in';
  }

  /** Forgets the name of a user who has signed out. */
  forget() {
    this.#store.write(null);
  }
}

/** Returns what the button does, if that is more than to sign in. */
function describe(/** @type {import('./address.js').Address} */ {call, answer, say, audio, video}) {
  const lines = [];
  const devices = [video && 'camera', audio && 'microphone'].filter(Boolean).join(' and ');
  if (call) lines.push(`This link calls ${shownName(call)}${devices && ` with your ${devices}`}.`);
  if (answer) lines.push('This link makes you available for calls. Each call rings.');
  if (call || answer) lines.push(...say.map(text => `It sends: ${shownText(text)}`));
  return lines.join('\n');
}
