// The page of a call: status, video, and what can be pressed.

import {buttonById, byId, inputById, videoById} from './dom.js';
import {clock, initial, shortName, shownName} from './text.js';

/** @typedef {import('./phone.js').Phase} Phase */

/** Page shows the state of the session and the call. */
export class Page {
  #room = byId('callPage');
  #video = videoById('remoteVideo');
  #ringing;
  /** @type {Phase} */
  #phase = 'idle';
  #server = 'here';
  #peer = ''; // as shown where there is little room
  #connection = '';
  #since = 0; // performance.now() when the call was connected
  #ticking = 0;
  #prefix = ''; // of the title
  #problem = ''; // with the devices, as shown last
  /** @type {(() => void) | null} of the notice */
  #retry = null;

  /** @param {import('./ringing.js').Ringing} ringing */
  constructor(ringing) {
    this.#ringing = ringing;
    const video = this.#video;
    for (const event of ['resize', 'loadeddata', 'emptied', 'playing', 'leavepictureinpicture']) video.addEventListener(event, () => this.#showVideo());
    byId('noticeBtn').onclick = () => this.notice('');
    byId('noticeRetryBtn').onclick = () => this.#retry?.();
    byId('audioBtn').onclick = () => this.#unmute();
  }

  /** The time since the call was connected, in seconds. */
  get duration() { return this.#since ? (performance.now() - this.#since) / 1000 : 0; }

  /** Shows who is signed in. */
  signedIn(/** @type {string} */ name, isNew = true) {
    byId('me').textContent = shownName(name);
    if (isNew) byId('callToUsernameInput').focus();
  }

  server(/** @type {'here' | 'away'} */ state) {
    this.#server = state;
    this.#status();
    this.#facts();
  }

  /** @param {Phase} phase @param {string} peer */
  phase(phase, peer) {
    if (this.#phase === 'idle' && phase !== 'idle') this.notice('');
    this.#phase = phase;
    this.#peer = shortName(shownName(peer));
    this.#room.dataset.phase = phase;
    const busy = phase !== 'idle';
    buttonById('hangUpBtn').disabled = !busy;
    if (phase === 'ringing') this.#ringing.show(shownName(peer));
    else this.#ringing.hide();
    if (!busy) this.#idle();
    byId('initial').textContent = initial(this.#peer);
    byId('avatar').style.setProperty('--hue', hue(this.#peer));
    this.#status();
    this.#showVideo();
  }

  connection(/** @type {RTCPeerConnectionState} */ state) {
    this.#connection = state;
    if (state === 'connected' && !this.#since) {
      this.#since = performance.now();
      this.#ticking = setInterval(() => this.#facts(), 1000);
    }
    this.#status();
    this.#facts();
  }

  remote(/** @type {MediaStream} */ stream) {
    const video = this.#video;
    if (video.srcObject !== stream) video.srcObject = stream;
    for (const track of stream.getVideoTracks()) track.onmute = track.onunmute = () => this.#showVideo();
    video.play().catch(error => {
      if (error.name !== 'NotAllowedError') return; // a new stream came meanwhile
      // Browsers play no audio on a page that nobody has clicked.
      video.muted = true;
      byId('audioBtn').hidden = false;
      video.play().catch(() => {});
    });
    this.#showVideo();
  }

  local(/** @type {import('./media.js').LocalMedia} */ local) {
    const video = videoById('localVideo');
    // Without a track it would delay the load event of the page.
    if (local.track('video') && video.srcObject !== local.stream) video.srcObject = local.stream;
    byId('self').dataset.video = local.track('video') ? 'yes' : 'no';
    byId('selfNote').textContent = selfNote(local);
    const {problem} = local;
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem) this.notice(problem, () => local.retry());
    else if (this.#retry) this.notice('');
  }

  /** Shows what the peer has muted. */
  peerMedia(/** @type {{audio: string, video: string}} */ {audio, video}) {
    const muted = [audio === 'muted' && 'microphone muted', video === 'muted' && 'camera off'].filter(Boolean).join(', ');
    byId('peerMuted').textContent = muted && `${this.#peer}: ${muted}`;
    byId('peerMuted').hidden = !muted;
  }

  /** Shows whether there is somebody to write to. */
  chat(/** @type {boolean} */ possible, words = '') {
    inputById('msgInput').disabled = buttonById('sendMsgBtn').disabled = !possible;
    inputById('msgInput').placeholder = words || (possible ? 'Write a message' : 'No call yet');
  }

  /** Shows whether there is somebody to send files to. */
  files(/** @type {boolean} */ possible) { buttonById('filesBtn').disabled = !possible; }

  /**
   * Shows what went wrong, or '' for nothing, with a button to try again if there is a way.
   * @param {string} text
   * @param {(() => void) | null} [retry]
   */
  notice(text, retry = null) {
    this.#retry = retry;
    byId('noticeText').textContent = text;
    byId('notice').hidden = !text;
    buttonById('noticeRetryBtn').hidden = !retry;
  }

  /** Shows a text before the title, such as the number of unread messages. */
  titlePrefix(/** @type {string} */ prefix) {
    this.#prefix = prefix;
    this.#status();
  }

  #idle() {
    clearInterval(this.#ticking);
    this.#since = 0;
    this.#connection = '';
    this.#video.srcObject = null;
    byId('peerMuted').hidden = true;
    byId('audioBtn').hidden = true;
    this.#video.muted = false;
    this.#facts();
  }

  #unmute() {
    this.#video.muted = false;
    byId('audioBtn').hidden = true;
    this.#video.play().catch(() => {});
  }

  #status() {
    const [words, tone] = this.#words();
    if (byId('status').textContent !== words) byId('status').textContent = words;
    byId('statusPill').dataset.tone = tone;
    document.title = this.#prefix + (this.#phase === 'idle' ? 'Parley' : `${words} · Parley`);
  }

  #words() {
    const peer = `\u2068${this.#peer}\u2069`; // isolated, as <bdi> would
    switch (this.#phase) {
      case 'ringing': return [`${peer} is calling`, 'busy'];
      case 'calling': return [`Calling ${peer}…`, 'busy'];
      case 'answering': return [`Connecting with ${peer}…`, 'busy'];
      case 'talking': break;
      default: return this.#server === 'here' ? ['Ready', 'good'] : ['Server lost, trying again…', 'bad'];
    }
    if (this.#connection === 'connected') return [`Talking with ${peer}`, 'good'];
    return [`Reconnecting with ${peer}…`, this.#connection === 'failed' ? 'bad' : 'busy'];
  }

  #facts() {
    const facts = [];
    if (this.#since) facts.push(clock(this.duration));
    if (this.#room.dataset.video === 'yes') facts.push(`${this.#video.videoWidth}×${this.#video.videoHeight}`);
    if (this.#since && this.#server !== 'here') facts.push('server lost');
    byId('facts').textContent = facts.join(' · ');
    byId('facts').hidden = !facts.length;
  }

  #showVideo() {
    const video = this.#video;
    const tracks = /** @type {MediaStream | null} */ (video.srcObject)?.getVideoTracks() ?? [];
    const shows = video.videoWidth > 2 && tracks.some(t => t.readyState === 'live' && !t.muted);
    this.#room.dataset.video = shows ? 'yes' : 'no';
    buttonById('pipBtn').disabled = !shows && !document.pictureInPictureElement;
    this.#facts();
  }
}

/** Returns what is said about the own devices. */
function selfNote(/** @type {import('./media.js').LocalMedia} */ local) {
  const {audio, video} = local.state;
  if (audio === 'pending' || video === 'pending') return 'waiting for the camera';
  if (video === 'on') return audio === 'on' ? '' : audio === 'muted' ? 'microphone muted' : 'no microphone';
  if (audio === 'muted') return 'microphone muted';
  return audio === 'on' ? 'audio only' : 'receive only';
}

/** Returns a colour for a name, as an angle: FNV-1a. */
function hue(/** @type {string} */ name) {
  let h = 2166136261;
  for (const c of name) h = Math.imul(h ^ (c.codePointAt(0) ?? 0), 16777619) >>> 0;
  return String(h % 360);
}
