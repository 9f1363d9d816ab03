// How a call ended, for the user.

import {shownName} from './text.js';

/**
 * @typedef {object} Ended
 * @property {import('./recovery.js').EndReason} reason
 * @property {string} peer
 * @property {import('./phone.js').Phase} phase before the end
 * @property {Error | null} error
 */

/**
 * Returns a remark for the conversation, as parts, or null if there is none.
 * @param {Ended} ended
 * @returns {(string | {name: string})[] | null}
 */
export function remark({reason, peer, phase}) {
  if (reason === 'hung up') return phase === 'talking' ? ['Call with ', {name: peer}, ' ended'] : null;
  if (reason !== 'left') return null;
  return [{name: peer}, phase === 'ringing' ? ' gave up' : phase === 'calling' ? ' is busy or declined' : ' hung up'];
}

/**
 * Returns what went wrong, '' if nothing did.
 * @param {Ended} ended
 */
export function failure({reason, peer, error}) {
  const name = shownName(peer);
  switch (reason) {
    case 'absent': return `${name} is not signed in.`;
    case 'unanswered': return `${name} does not answer.`;
    case 'failed': return `No connection with ${name}: the network between you let nothing through.`;
    case 'lost': return `The connection with ${name} was closed.`;
    case 'negotiation': return `This browser and ${name} cannot agree on a call: ${error?.message ?? 'no reason given'}`;
    default: return '';
  }
}
