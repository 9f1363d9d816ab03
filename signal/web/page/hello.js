// The hello-world page, dialect "relay": two fixed ids, one data channel, one
// sentence each. ?as=Gandalf or ?as=Saruman chooses; &call=1 has Gandalf offer.
// Without the permission of the server nothing is sent before a click.

import {isPermitted} from './address.js';
import {Candidates} from './candidates.js';
import {sendable} from './channel.js';
import {Chat} from './chat.js';
import {Connection, isFinal, serverURL} from './connection.js';
import {buttonById, byId} from './dom.js';
import {ICEServers} from './ice.js';
import {explainClose} from './remedies.js';

const offerer = 'Gandalf', answerer = 'Saruman';
const greeting = 'hello world!';
const maxFrame = 1 << 20; // characters
const replyPatience = 1000; // ms: an original server has no reply to init

const chat = new Chat(byId('heard'));

/** @param {string} words @param {'good' | 'busy' | 'bad'} tone */
function show(words, tone) {
  byId('status').textContent = words;
  byId('statePill').dataset.tone = tone;
}

/** Hello is one of the two, from the choice to the end of the page. */
class Hello {
  #me;
  #partner;
  #connection;
  #ice = new ICEServers(() => this.#request({inst: 'iceServers'}));
  /** @type {RTCPeerConnection | null} */
  #pc = null;
  /** @type {Candidates | null} of #pc */
  #candidates = null;
  /** @type {Promise<void>} */
  #chain = Promise.resolve(); // descriptions and candidates, one after the other
  /** @type {any[]} candidates that came before the offer */
  #early = [];
  #calls; // by itself
  #callTimer = 0;

  /**
   * @param {string} me
   * @param {boolean} calls whether to call at once
   */
  constructor(me, calls) {
    this.#me = me;
    this.#partner = me === offerer ? answerer : offerer;
    this.#calls = calls;
    this.#connection = new Connection(serverURL(), {
      open: () => this.#opened(),
      message: data => this.#receive(data),
      closed: (code, reason) => this.#closed(code, reason),
    });
    this.#connection.connect();
  }

  /** Offers, in a new connection. */
  call() {
    const pc = this.#renew();
    this.#take(pc.createDataChannel(this.#me + this.#partner), pc);
    show(`Calling ${this.#partner}…`, 'busy');
    this.#run(() => this.#describe(pc));
  }

  #opened() {
    // The extras ask our server for error messages, a reply, and ICE servers. An original server sends nothing.
    this.#request({inst: 'init', id: this.#me, errors: true, reply: true, iceServers: true});
    if (!this.#pc) show(this.#me === offerer ? `You are ${this.#me}.` : `You are ${this.#me}, waiting for ${this.#partner}.`, 'good');
    this.#callTimer = setTimeout(() => this.#ready(), replyPatience);
  }

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    clearTimeout(this.#callTimer);
    this.#ice.stop();
    if (isFinal(code)) {
      show(explainClose(code, reason), 'bad');
      return;
    }
    if (this.#pc?.connectionState !== 'connected') show('The server is not there; trying again…', 'bad');
    this.#connection.retry();
  }

  /** Makes the call that the address of the page requests, once the server has replied or has had the time to. */
  #ready() {
    clearTimeout(this.#callTimer);
    this.#connection.succeeded();
    if (this.#calls) this.call();
    this.#calls = false;
  }

  /** Sends a message to the server. */
  #request(/** @type {object} */ message) {
    if (this.#connection.isOpen) this.#connection.send(JSON.stringify(message));
  }

  /** Sends a message to the partner. */
  #send(/** @type {object} */ message) {
    this.#request({inst: 'send', peerId: this.#partner, message});
  }

  #receive(/** @type {unknown} */ data) {
    let m = null;
    try {
      m = typeof data === 'string' && data.length < maxFrame ? JSON.parse(data) : null;
    } catch { /* not for us */ }
    if (m?.type === 'offer' && typeof m.sdp === 'string') this.#answer(m.sdp);
    else if (m?.type === 'answer' && typeof m.sdp === 'string') this.#accept(m.sdp);
    else if (typeof m?.candidate?.candidate === 'string') this.#candidate(m.candidate);
    else if (m?.type === 'login' && m.success === true) {
      this.#ice.take(m);
      this.#ready();
    } else if (m?.type === 'iceServers') this.#ice.take(m);
    else if (m?.type === 'error' && m.code === 'absent' && this.#pc && !this.#pc.remoteDescription) {
      show(`${this.#partner} is not there yet.`, 'bad');
    }
  }

  /** Answers by a new connection: the partner has loaded its page anew. */
  #answer(/** @type {string} */ sdp) {
    const early = this.#pc?.remoteDescription ? [] : this.#early;
    const pc = this.#renew(), candidates = this.#candidates;
    this.#run(async () => {
      for (const init of early) await candidates?.receive(init);
      await pc.setRemoteDescription({type: 'offer', sdp});
      await candidates?.flush();
      await this.#describe(pc);
    });
  }

  #accept(/** @type {string} */ sdp) {
    const pc = this.#pc, candidates = this.#candidates;
    this.#run(async () => {
      if (pc?.signalingState !== 'have-local-offer') return;
      await pc.setRemoteDescription({type: 'answer', sdp});
      await candidates?.flush();
    });
  }

  #candidate(/** @type {any} */ init) {
    if (!this.#pc || this.#pc.remoteDescription === null) this.#early.push(init);
    this.#run(async () => { await this.#candidates?.receive(init); });
  }

  /** Makes a new RTCPeerConnection in place of the one there is. */
  #renew() {
    this.#pc?.close();
    const pc = this.#pc = new RTCPeerConnection({iceServers: this.#ice.list});
    this.#early = [];
    this.#candidates = new Candidates(pc, candidate => { if (pc === this.#pc) this.#send({candidate}); });
    this.#candidates.hold();
    pc.ondatachannel = e => this.#take(e.channel, pc);
    pc.onconnectionstatechange = () => {
      if (pc !== this.#pc) return;
      if (pc.connectionState === 'connected') show(`Connected with ${this.#partner}.`, 'good');
      if (pc.connectionState === 'disconnected') show(`${this.#partner} is silent…`, 'busy');
      if (pc.connectionState === 'failed') show(`No connection with ${this.#partner}.`, 'bad');
    };
    return pc;
  }

  /**
   * Sends the sentence once, and shows what comes.
   * @param {RTCDataChannel} channel
   * @param {RTCPeerConnection} pc
   */
  #take(channel, pc) {
    let isOpen = false; // a channel of the peer is open when it is announced, and opens once more after that
    const onopen = channel.onopen = async () => {
      if (isOpen) return;
      isOpen = true;
      await sendable(channel, pc);
      if (channel.readyState !== 'open') return;
      channel.send(greeting);
      chat.say(this.#me, greeting, true);
    };
    channel.onmessage = e => {
      if (typeof e.data === 'string') chat.say(this.#partner, e.data, false);
    };
    channel.onclose = () => chat.note('The channel was closed.');
    if (channel.readyState === 'open') onopen();
  }

  /** Sends our description, and the candidates after it. */
  async #describe(/** @type {RTCPeerConnection} */ pc) {
    await pc.setLocalDescription();
    if (pc !== this.#pc || !pc.localDescription) return;
    const {type, sdp} = pc.localDescription;
    this.#send({type, sdp});
    this.#candidates?.release();
  }

  #run(/** @type {() => Promise<void>} */ step) {
    this.#chain = this.#chain.then(step).catch(error => {
      if (error.name !== 'InvalidStateError') show(`The two cannot agree: ${error.message}`, 'bad');
    });
  }
}

/** @param {string} name @param {boolean} calls */
function be(name, calls) {
  const hello = new Hello(name, calls);
  byId('choice').hidden = true;
  byId('callBtn').hidden = name !== offerer;
  buttonById('callBtn').onclick = () => hello.call();
}

const params = new URLSearchParams(location.search), name = params.get('as') ?? '', calls = params.get('call') === '1';
byId('gandalfBtn').onclick = () => be(offerer, calls && name === offerer);
byId('sarumanBtn').onclick = () => be(answerer, calls && name === answerer);
if (isPermitted() && [offerer, answerer].includes(name)) be(name, calls);
