// What is to be seen, and nothing of what is behind it.

import {clock, shownName} from './text.js';

const byId = id => document.getElementById(id);

/** Page shows the state of things; on: see app.js. */
export class Page {
  #room = byId('callPage');
  #video = byId('remoteVideo');
  #phase = 'idle';
  #server = 'here';
  #peer = '';
  #connection = '';
  #since = 0; // performance.now() when the call was connected
  #ticking = 0;

  constructor() {
    const video = this.#video;
    for (const event of ['resize', 'loadeddata', 'emptied', 'playing']) video.addEventListener(event, () => this.#picture());
    byId('noticeBtn').onclick = () => this.notice('');
    byId('soundBtn').onclick = () => this.#unmute();
  }

  get duration() { return this.#since ? (performance.now() - this.#since) / 1000 : 0; }

  login(words) {
    byId('loginPage').hidden = false;
    this.#room.hidden = true;
    byId('loginStatus').textContent = words;
    byId('loginStatus').classList.toggle('bad', words !== '');
    byId('loginBtn').disabled = false;
    byId('usernameInput').focus();
  }

  signingIn(name) {
    byId('usernameInput').value = name;
    byId('loginBtn').disabled = true;
    byId('loginStatus').textContent = 'Signing in…';
    byId('loginStatus').classList.remove('bad');
  }

  room(name) {
    byId('me').textContent = shownName(name);
    if (!this.#room.hidden) return; // signed in again, in mid-call perhaps
    byId('loginPage').hidden = true;
    this.#room.hidden = false;
    byId('callToUsernameInput').focus();
  }

  /** "here" or "away". */
  server(state) {
    this.#server = state;
    this.#status();
  }

  phase(phase, peer) {
    this.#phase = phase;
    this.#peer = shownName(peer);
    this.#room.dataset.phase = phase;
    const busy = phase !== 'idle';
    byId('hangUpBtn').disabled = !busy;
    byId('ringing').hidden = phase !== 'ringing';
    if (busy) this.notice('');
    else this.#idle();
    if (phase === 'ringing') {
      byId('ringingName').textContent = this.#peer;
      // Not out of a field: an Enter meant for it must not answer a call.
      if (document.activeElement?.type !== 'text') byId('acceptBtn').focus();
    }
    byId('initial').textContent = [...this.#peer][0]?.toUpperCase() ?? '';
    byId('avatar').style.setProperty('--hue', hue(this.#peer));
    this.#status();
    this.#picture();
  }

  /** Takes RTCPeerConnection.connectionState. */
  connection(state) {
    this.#connection = state;
    if (state === 'connected' && !this.#since) {
      this.#since = performance.now();
      this.#ticking = setInterval(() => this.#facts(), 1000);
    }
    this.#status();
    this.#facts();
  }

  remote(stream) {
    const video = this.#video;
    if (video.srcObject !== stream) video.srcObject = stream;
    for (const track of stream.getVideoTracks()) track.onmute = track.onunmute = () => this.#picture();
    video.play().catch(error => {
      if (error.name !== 'NotAllowedError') return; // a new stream came meanwhile
      // Browsers play no sound on a page that nobody has touched.
      video.muted = true;
      byId('soundBtn').hidden = false;
      video.play().catch(() => {});
    });
    this.#picture();
  }

  local(local) {
    const video = byId('localVideo');
    const track = local.track('video');
    if (video.srcObject !== local.stream) video.srcObject = local.stream;
    byId('self').dataset.picture = track ? 'yes' : 'no';
    byId('selfNote').textContent = selfNote(local);
    for (const [id, kind] of [['micBtn', 'audio'], ['camBtn', 'video']]) byId(id).disabled = !local.track(kind);
    if (local.words) this.notice(local.words);
  }

  /** Whether there is somebody to write to. */
  chat(possible, words = '') {
    for (const id of ['msgInput', 'sendMsgBtn']) byId(id).disabled = !possible;
    byId('msgInput').placeholder = words || (possible ? 'Write a message' : 'Nobody to write to yet');
  }

  /** Whether there is somebody to send files to. */
  files(possible) { byId('filesBtn').disabled = !possible; }

  notice(words) {
    byId('noticeText').textContent = words;
    byId('notice').hidden = !words;
  }

  #idle() {
    clearInterval(this.#ticking);
    this.#since = 0;
    this.#connection = '';
    this.#video.srcObject = null;
    byId('soundBtn').hidden = true;
    this.#video.muted = false;
    this.#facts();
  }

  #unmute() {
    this.#video.muted = false;
    byId('soundBtn').hidden = true;
    this.#video.play().catch(() => {});
  }

  #status() {
    const [words, tone] = this.#words();
    if (byId('status').textContent !== words) byId('status').textContent = words;
    byId('statusPill').dataset.tone = tone;
    document.title = this.#phase === 'idle' ? 'Parley' : `${words} · Parley`;
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
    switch (this.#connection) {
      case 'disconnected': return [`Reconnecting with ${peer}…`, 'busy'];
      case 'failed': return [`Lost ${peer}, trying once more…`, 'bad'];
      default: return [`Talking with ${peer}`, 'good'];
    }
  }

  #facts() {
    const facts = [];
    if (this.#since) facts.push(clock(this.duration));
    if (this.#room.dataset.picture === 'yes') facts.push(`${this.#video.videoWidth}×${this.#video.videoHeight}`);
    if (this.#since && this.#server !== 'here') facts.push('server lost');
    byId('facts').textContent = facts.join(' · ');
    byId('facts').hidden = !facts.length;
  }

  #picture() {
    const video = this.#video;
    const shows = video.videoWidth > 2 && !!video.srcObject?.getVideoTracks().some(t => t.readyState === 'live' && !t.muted);
    this.#room.dataset.picture = shows ? 'yes' : 'no';
    this.#facts();
  }
}

function selfNote(local) {
  const {audio, video} = local.state;
  if (audio === 'pending' || video === 'pending') return 'waiting for the camera';
  if (video === 'on') return audio === 'on' ? '' : 'no microphone';
  return audio === 'on' ? 'voice only' : 'receive only';
}

/** A colour of one's own: FNV-1a of the name as an angle. */
function hue(name) {
  let h = 2166136261;
  for (const c of name) h = Math.imul(h ^ c.codePointAt(0), 16777619) >>> 0;
  return h % 360;
}
