// Keyboard shortcuts: single keys, which work outside of text fields and can be turned off (WCAG 2.1.4).

import {newDialog} from './dialogs.js';
import {byId, element, inputById} from './dom.js';

/** @typedef {'mic' | 'camera' | 'share' | 'fullScreen' | 'pictureInPicture' | 'message' | 'devices' | 'invite' | 'recent' | 'hangUp' | 'overview'} Action */

/** @type {[key: string, action: Action, text: string][]} */
export const shortcuts = [
  ['m', 'mic', 'Mute or unmute the microphone'],
  ['v', 'camera', 'Turn the camera on or off'],
  ['s', 'share', 'Share the screen, or stop it'],
  ['f', 'fullScreen', 'Full screen'],
  ['p', 'pictureInPicture', 'Picture-in-picture'],
  ['c', 'message', 'Write a message'],
  ['d', 'devices', 'Camera and microphone'],
  ['i', 'invite', 'Invite'],
  ['r', 'recent', 'Recent calls'],
  ['H', 'hangUp', 'Hang up'],
  ['?', 'overview', 'This overview'],
];

/**
 * Returns the action of a key, or null.
 * @param {Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'altKey' | 'metaKey' | 'repeat' | 'defaultPrevented'>} event
 * @returns {Action | null}
 */
export function actionOf(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.defaultPrevented) return null;
  return shortcuts.find(([key]) => key === event.key)?.[1] ?? null;
}

/**
 * Sets up the shortcuts and their overview.
 * @param {Partial<Record<Action, () => void>>} actions
 * @param {{read(): unknown, write(value: unknown): void}} store of the setting
 */
export function setUpShortcuts(actions, store) {
  const setting = inputById('shortcutsInput');
  setting.checked = store.read() !== false;
  setting.onchange = () => store.write(setting.checked);
  const dialog = newDialog('shortcutsDialog', {opener: 'shortcutsBtn'});
  byId('shortcutsRows').replaceChildren(...shortcuts.map(([key, , text]) => newRow(key, text)));
  addEventListener('keydown', event => {
    if (!setting.checked || isTyping(/** @type {Element} */ (event.target)) || document.querySelector('dialog[open]')) return;
    const action = actionOf(event);
    const act = action === 'overview' ? dialog.open : actions[/** @type {Action} */ (action)];
    if (!act) return;
    event.preventDefault(); // else the key lands in the field that gets the focus
    act();
  });
}

/** @param {Element} target */
function isTyping(target) {
  return target.closest?.('input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]') !== null;
}

/**
 * @param {string} key
 * @param {string} text
 */
function newRow(key, text) {
  const row = element('tr'), cell = element('th');
  cell.scope = 'row';
  cell.append(element('kbd', '', key === key.toLowerCase() ? key.toUpperCase() : `Shift + ${key}`));
  row.append(cell, element('td', '', text));
  return row;
}
