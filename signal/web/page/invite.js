// The invitation: a link by which others call this user.

import {newDialog} from './dialogs.js';
import {buttonById, byId, inputById} from './dom.js';
import {qrPath} from './qr.js';

/**
 * Returns the link by which the page at an address calls a user. A visitor is asked before
 * anything is sent. It has no token: that is for one user alone.
 * @param {string} address of this page
 * @param {string} name
 */
export function inviteLink(address, name) {
  const link = new URL('./', address);
  link.search = new URLSearchParams({call: name}).toString();
  return link.href;
}

/**
 * Sets up the dialog of the invitation.
 * @param {() => string} name returns the name of this user
 */
export function setUpInvitation(name) {
  const link = () => inviteLink(location.href, name());
  const dialog = newDialog('inviteDialog', {opener: 'inviteBtn', onopen: () => {
    inputById('inviteLink').value = link();
    byId('inviteStatus').textContent = '';
    byId('inviteLocal').hidden = !isLoopback(location.hostname);
    const {path, size} = qrPath(link());
    byId('inviteCode').setAttribute('viewBox', `0 0 ${size} ${size}`);
    byId('inviteCodePath').setAttribute('d', path);
  }});
  buttonById('copyBtn').onclick = async () => {
    byId('inviteStatus').textContent = await copy(inputById('inviteLink')) ? 'Copied' : 'Select the link and copy it by hand.';
  };
  buttonById('shareLinkBtn').hidden = typeof navigator.share !== 'function';
  buttonById('shareLinkBtn').onclick = () => navigator.share({title: 'Parley', text: `Call ${name()}`, url: link()}).catch(() => {}); // cancelled
  return dialog;
}

/** Reports whether a host name is that of the computer itself. */
export function isLoopback(/** @type {string} */ host) {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d+){3}$/.test(host);
}

/**
 * Copies a field. The page may have come by plain http, where browsers give no clipboard.
 * @param {HTMLInputElement} field
 */
async function copy(field) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    return document.execCommand('copy');
  }
}
