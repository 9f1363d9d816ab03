// What surrounds a call: devices, screen sharing, quality, history, shortcuts and so on.

import {CallRecord} from './callrecord.js';
import {ChatStore} from './chatstore.js';
import {DevicesView, isMirrored} from './devicesview.js';
import {closeDialogs} from './dialogs.js';
import {buttonById, byId, videoById} from './dom.js';
import {CallHistory} from './history.js';
import {HistoryView} from './historyview.js';
import {setUpInvitation} from './invite.js';
import {CallNotification} from './notification.js';
import {QualityView} from './qualityview.js';
import {ScreenShare} from './screenshare.js';
import {setUpShortcuts} from './shortcuts.js';
import {Speaker} from './speaker.js';
import {leaveStageModes, setUpFullScreen, setUpPictureInPicture} from './stagemodes.js';
import {localStore, sessionStore} from './storage.js';
import {shownName} from './text.js';
import {Unread} from './unread.js';
import {WakeLock} from './wakelock.js';

/**
 * @typedef {import('./callrecord.js').Phase} Phase
 * @typedef {import('./chatstore.js').ChatLine} ChatLine
 * @typedef {object} CallToolsOptions
 * @property {import('./media.js').LocalMedia} local
 * @property {import('./media.js').Kinds} devices that the user wants to use
 * @property {() => string} name of this user
 * @property {(name: string) => void} dial
 * @property {(text: string) => void} notice shows what went wrong
 * @property {(prefix: string) => void} ontitle called with what stands before the title
 */

const flushInterval = 2000; // ms between two writes of the messages, at most

/** CallTools connects the parts that a call does without. */
export class CallTools {
  #local;
  /** @type {Phase} */
  #phase = 'idle';
  #record = new CallRecord();
  #history = new CallHistory(localStore('history'));
  #messages = new ChatStore(sessionStore('messages'));
  #flushTimer = 0;
  #quality = new QualityView();
  #notification = new CallNotification();
  #wakeLock = new WakeLock();
  #unread;
  #historyView;
  #devices;
  #screen;

  /** @param {CallToolsOptions} options */
  constructor({local, devices, name, dial, notice, ontitle}) {
    this.#local = local;
    const inCall = () => this.#phase !== 'idle' && this.#phase !== 'ringing', video = videoById('remoteVideo');
    this.#unread = new Unread(byId('chatarea'), buttonById('unreadBtn'), () => ontitle(this.#unread.prefix));
    this.#historyView = new HistoryView(this.#history, dial);
    this.#devices = new DevicesView(local, new Speaker([video], localStore('speaker')), devices, inCall);
    this.#screen = new ScreenShare(local, () => this.#phase === 'talking', error => this.#showScreen(error, notice));
    const invitation = setUpInvitation(name);
    const fullScreen = setUpFullScreen(byId('stage'), video, buttonById('fullScreenBtn'));
    const pictureInPicture = setUpPictureInPicture(video, buttonById('pipBtn'));
    for (const id of ['shareBtn', 'stopShareBtn']) buttonById(id).onclick = () => this.#share();
    buttonById('previewBtn').onclick = () => this.#devices.open();
    buttonById('notifyBtn').onclick = () => this.#askToNotify();
    addEventListener('pagehide', () => this.#messages.flush());
    setUpShortcuts({
      mic: () => press('micBtn'), camera: () => press('camBtn'), share: () => press('shareBtn'), hangUp: () => press('hangUpBtn'),
      fullScreen: () => { if (this.#phase !== 'idle') fullScreen(); }, pictureInPicture, message: () => byId('msgInput').focus(),
      devices: () => this.#devices.open(), invite: () => invitation.open(), recent: () => this.#historyView.open(),
    }, localStore('shortcuts'));
    this.#showNotify();
    this.phase('idle', '', null);
  }

  /**
   * Shows the messages of a user that were kept, and keeps those that follow.
   * @param {string} name
   * @param {(line: ChatLine) => void} show
   */
  signedIn(name, show) {
    this.#messages.open(name).forEach(show);
  }

  signedOut() {
    clearTimeout(this.#flushTimer);
    this.#messages.clear();
    this.#unread.clear();
    closeDialogs();
  }

  /**
   * Handles a phase of a call.
   * @param {Phase} phase
   * @param {string} peer
   * @param {RTCPeerConnection | null} pc
   */
  phase(phase, peer, pc) {
    const before = this.#phase, entry = this.#record.enter(phase, peer, Date.now());
    this.#phase = phase;
    if (entry) {
      this.#history.add(entry);
      this.#historyView.update();
    }
    if (phase === 'ringing') this.#notification.show(shownName(peer));
    else this.#notification.close();
    if (phase === 'talking' && pc) this.#quality.start(() => pc.getStats());
    if (phase === 'idle') {
      this.#quality.stop();
      this.#screen.stop();
      if (before !== 'idle') leaveStageModes();
    }
    // The buttons that had the focus are hidden: answer, decline, hang up.
    if (phase !== before && (phase === 'idle' || before === 'ringing') && !isFocused()) byId('stage').focus({preventScroll: true});
    this.#wakeLock.set(phase !== 'idle' && phase !== 'ringing');
    this.#showScreen(null);
  }

  /** Handles a change of LocalMedia. */
  localChanged() {
    this.#screen.update();
    this.#devices.update();
    byId('self').classList.toggle('mirrored', isMirrored(this.#local));
  }

  /**
   * Keeps a message, and counts it as unread if the user cannot see it. Called before it is shown.
   * @param {ChatLine} line
   */
  message(line) {
    if (!line.mine) this.#unread.arrived();
    this.#messages.add(line);
    this.#flushTimer ||= setTimeout(() => {
      this.#flushTimer = 0;
      this.#messages.flush();
    }, flushInterval);
  }

  #share() {
    if (this.#screen.active) this.#screen.stop();
    else this.#screen.start();
  }

  /**
   * @param {Error | null} error
   * @param {(text: string) => void} [notice]
   */
  #showScreen(error, notice) {
    const {active} = this.#screen, button = buttonById('shareBtn');
    button.hidden = !ScreenShare.isPossible;
    button.disabled = this.#phase !== 'talking';
    button.setAttribute('aria-pressed', String(active));
    button.title = active ? 'Stop sharing the screen' : 'Share the screen';
    button.setAttribute('aria-label', button.title);
    byId('sharing').hidden = !active;
    if (error) notice?.(`The screen cannot be shared: ${error.message}`);
  }

  async #askToNotify() {
    await this.#notification.ask();
    this.#showNotify();
  }

  #showNotify() {
    buttonById('notifyBtn').hidden = this.#notification.permission !== 'default';
  }
}

/** Reports whether something has the focus that can be seen. */
function isFocused() {
  const {activeElement: active} = document;
  return active !== null && active !== document.body && active.checkVisibility() && !active.matches(':disabled');
}

/** Presses a button unless it is disabled or hidden, as its shortcut does. */
function press(/** @type {string} */ id) {
  if (!buttonById(id).hidden) buttonById(id).click();
}
