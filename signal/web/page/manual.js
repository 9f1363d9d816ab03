// Calls without a signaling server: the user copies a line to the peer, and pastes the line that
// comes back.

import {newDialog} from './dialogs.js';
import {buttonById, byId, onSubmit} from './dom.js';
import {makeLine, maxLine, parseLine} from './manualline.js';
import {shownName} from './text.js';

const gatherPatience = 5000; // ms for all candidates
const unnamed = 'peer';

/** @typedef {import('./signaling.js').Signaling | ManualSignaling} AnySignaling */

/** ManualSignaling takes the place of Signaling, and shows and takes the two lines of a call. */
export class ManualSignaling {
  /** @type {string | null} */
  name = null;
  /** @type {RTCIceServer[]} */
  iceServers = [];
  patient = true; // people take a while
  #on;
  #pc;
  #dialog;
  #id = ''; // of the offer of the call
  #peer = '';
  #isOurs = false; // the offer
  #used = false; // the line of the peer

  /**
   * @param {() => RTCPeerConnection | null} pc of the call
   * @param {() => void} dial makes an offer
   * @param {import('./signaling.js').SignalingEvents} on
   */
  constructor(pc, dial, on) {
    this.#pc = pc;
    this.#on = on;
    this.#dialog = newDialog('manualDialog', {opener: 'manualBtn'});
    buttonById('manualBtn').hidden = false;
    byId('manualHint').hidden = false;
    for (const id of ['callForm', 'callHint', 'inviteBtn', 'historyBtn']) byId(id).hidden = true; // nobody is called by name
    theirs().maxLength = maxLine + 1; // so that a longer text is noticed
    buttonById('manualOfferBtn').onclick = dial;
    buttonById('manualCopyBtn').onclick = () => this.#copy();
    onSubmit('manualForm', () => this.#use());
  }

  signIn(/** @type {string} */ name) {
    this.name = name;
    this.#on.login(null);
    this.#on.connected();
    this.#dialog.open();
    byId('manualOfferBtn').focus();
  }

  signOut() {
    this.name = null;
    this.#clear();
  }

  renew() {}

  suspend() {}

  /** Handles a message of the call. Later offers of a call reach nobody. */
  send(/** @type {any} */ message) {
    const {type} = message;
    if (type === 'offer' && !this.#id) this.#show('offer', message.name);
    else if (type === 'answer' && !this.#isOurs && !ours().value) this.#show('answer', message.name);
  }

  /** Handles a phase of the call. @param {import('./phone.js').Phase} phase */
  phase(phase) {
    if (phase === 'talking') this.#dialog.close();
    if (phase === 'idle') this.#clear();
  }

  #clear() {
    this.#id = ours().value = theirs().value = '';
    this.#isOurs = this.#used = false;
    this.#next();
    this.#say('');
  }

  /** Shows which button is the next one. */
  #next() {
    const offer = buttonById('manualOfferBtn'), copy = buttonById('manualCopyBtn');
    offer.disabled = this.#used || this.#id !== '';
    copy.disabled = ours().value === '';
    offer.classList.toggle('primary', !offer.disabled);
    copy.classList.toggle('primary', !copy.disabled);
  }

  #say(/** @type {string} */ words) {
    byId('manualStatus').textContent = words;
  }

  /** @param {'offer' | 'answer'} type @param {string} peer */
  async #show(type, peer) {
    if (type === 'offer') {
      this.#clear();
      this.#id = crypto.getRandomValues(new Uint32Array(2)).join('-');
      this.#peer = peer;
      this.#isOurs = true;
      this.#next();
    }
    const id = this.#id, pc = this.#pc();
    if (!pc) return;
    this.#dialog.open();
    this.#say('Finding the ways to this computer…');
    await gathered(pc);
    const sdp = pc.localDescription?.sdp;
    if (id !== this.#id || !sdp) return; // the call is over
    ours().value = await makeLine({type, id, name: this.name ?? '', sdp});
    this.#next();
    byId('manualCopyBtn').focus();
    pc.addEventListener('connectionstatechange', () => { // as Firefox does
      if (id === this.#id && pc.connectionState === 'failed') this.#say('Your line was not used in time, and this browser has given up. Hang up, and make the offer here.');
    });
    this.#say(type === 'offer' ? 'Send your line to the peer, and paste the line that comes back.' : 'Send your line back to the peer. The call begins when it is used there.');
  }

  async #copy() {
    ours().select();
    try {
      await navigator.clipboard.writeText(ours().value);
      this.#say('Copied');
    } catch {
      this.#say(document.execCommand('copy') ? 'Copied' : 'Select the line and copy it by hand.');
    }
  }

  /** Takes the line that was pasted. */
  async #use() {
    let line;
    try {
      line = await parseLine(theirs().value);
      this.#check(line);
    } catch (e) {
      this.#say(e instanceof SyntaxError || e instanceof TypeError ? 'The line is damaged. Copy it again.' : /** @type {Error} */ (e).message);
      return;
    }
    this.#used = true;
    if (line.type === 'answer') {
      this.#say('Connecting…');
      this.#on.message({type: 'answer', name: this.#peer, answer: {type: 'answer', sdp: line.sdp}});
      return;
    }
    this.#id = line.id;
    this.#next();
    this.#peer = shownName(line.name) || unnamed;
    this.#on.message({type: 'offer', name: this.#peer, offer: {type: 'offer', sdp: line.sdp}});
  }

  /**
   * Throws an error that says why a line cannot be used now.
   * @param {import('./manualline.js').Line} line
   */
  #check({type, id}) {
    if (type === 'offer' && this.#isOurs && id === this.#id) throw new Error('This is your own offer. Send it to the peer, and paste the line that comes back.');
    if (this.#used) throw new Error('A line of the peer was used already. Hang up first.');
    if (type === 'answer' && !this.#isOurs) throw new Error('This is an answer, and you have made no offer. Paste an offer, or make one.');
    if (type === 'answer' && id !== this.#id) throw new Error('This is the answer to another offer. Send the peer the line above.');
    if (type === 'offer' && this.#isOurs) throw new Error('This is an offer, as yours is. One of you pastes the offer of the other: hang up first.');
  }
}

const ours = () => /** @type {HTMLTextAreaElement} */ (byId('manualOurs'));
const theirs = () => /** @type {HTMLTextAreaElement} */ (byId('manualTheirs'));

/**
 * Waits until a connection has all candidates, no longer than gatherPatience.
 * @param {RTCPeerConnection} pc
 */
function gathered(pc) {
  return new Promise(resolve => {
    const done = () => {
      if (pc.iceGatheringState === 'complete') resolve(undefined);
    };
    pc.addEventListener('icegatheringstatechange', done);
    setTimeout(resolve, gatherPatience);
    done();
  });
}
