// The hello-world page, dialect "relay": two fixed ids, one data channel, one
// sentence each. ?as=Gandalf or ?as=Saruman chooses; &call=1 has Gandalf offer.

import {Chat} from './chat.js';
import {iceServers, renewalIn} from './ice.js';
import {belongs} from './sdp.js';
import {finalCodes, serverURL} from './signaling.js';

const offerer = 'Gandalf', answerer = 'Saruman';
const greeting = 'hello world!';
const longestRetry = 8000; // ms
const largestFrame = 1 << 20; // characters
const replyPatience = 1000; // ms: an original server has no reply to init

const byId = id => document.getElementById(id);
const chat = new Chat(byId('heard'));

function show(words, tone) {
  byId('status').textContent = words;
  byId('statePill').dataset.tone = tone;
}

/** Hello is one of the two, from the choice to the end of the page. */
class Hello {
  #me;
  #partner;
  #socket = null;
  #retries = 0;
  #pc = null;
  #chain = Promise.resolve(); // descriptions and candidates, one after the other
  #early = []; // candidates before the description
  #late = []; // ours before ours is sent
  #calls; // by itself
  #iceServers = [];
  #iceTimer = 0;
  #callTimer = 0;

  constructor(me, calls) {
    this.#me = me;
    this.#partner = me === offerer ? answerer : offerer;
    this.#calls = calls;
    this.#connect();
  }

  /** Offers, in a new connection. */
  call() {
    const pc = this.#renew();
    this.#take(pc.createDataChannel(this.#me + this.#partner));
    show(`Calling ${this.#partner}…`, 'busy');
    this.#run(async () => {
      await pc.setLocalDescription();
      this.#describe(pc);
    });
  }

  #connect() {
    const socket = this.#socket = new WebSocket(serverURL());
    socket.onopen = () => {
      this.#retries = 0;
      // The extras ask our server for error messages, a reply, and ICE servers. An original server says nothing.
      socket.send(JSON.stringify({inst: 'init', id: this.#me, errors: true, reply: true, iceServers: true}));
      if (!this.#pc) show(this.#me === offerer ? `You are ${this.#me}.` : `You are ${this.#me}, waiting for ${this.#partner}.`, 'good');
      this.#callTimer = setTimeout(() => this.#ready(), replyPatience);
    };
    socket.onmessage = e => this.#receive(e.data);
    socket.onclose = e => {
      clearTimeout(this.#callTimer);
      clearTimeout(this.#iceTimer);
      if (finalCodes.has(e.code)) {
        show(`The server ended the session: ${e.reason || `code ${e.code}`}`, 'bad');
        return;
      }
      if (this.#pc?.connectionState !== 'connected') show('The server is not there; trying again…', 'bad');
      const most = Math.min(longestRetry, 500 * 2 ** this.#retries++);
      setTimeout(() => this.#connect(), Math.random() * most);
    };
  }

  /** Makes the call that the address of the page asks for, once the server has said what it has to say. */
  #ready() {
    clearTimeout(this.#callTimer);
    if (this.#calls) this.call();
    this.#calls = false;
  }

  #takeServers(message) {
    this.#iceServers = iceServers(message.iceServers);
    clearTimeout(this.#iceTimer);
    const wait = renewalIn(message.iceServersFor);
    if (!wait) return;
    const socket = this.#socket;
    this.#iceTimer = setTimeout(() => {
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({inst: 'iceServers'}));
    }, wait);
  }

  #send(message) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(JSON.stringify({inst: 'send', peerId: this.#partner, message}));
  }

  #receive(data) {
    let m = null;
    try {
      m = typeof data === 'string' && data.length < largestFrame ? JSON.parse(data) : null;
    } catch { /* not for us */ }
    if (m?.type === 'offer' && typeof m.sdp === 'string') this.#answer(m.sdp);
    else if (m?.type === 'answer' && typeof m.sdp === 'string') this.#accept(m.sdp);
    else if (typeof m?.candidate?.candidate === 'string') this.#candidate(m.candidate);
    else if (m?.type === 'login' && m.success === true) {
      this.#takeServers(m);
      this.#ready();
    } else if (m?.type === 'iceServers') this.#takeServers(m);
    else if (m?.type === 'error' && m.code === 'absent' && this.#pc && !this.#pc.remoteDescription) {
      show(`${this.#partner} is not there yet.`, 'bad');
    }
  }

  /** A new offer is a new connection: the other has loaded its page anew. */
  #answer(sdp) {
    const early = this.#pc?.remoteDescription ? [] : this.#early;
    const pc = this.#renew();
    this.#early = early;
    this.#run(async () => {
      await pc.setRemoteDescription({type: 'offer', sdp});
      await this.#addEarly(pc);
      await pc.setLocalDescription();
      this.#describe(pc);
    });
  }

  #accept(sdp) {
    const pc = this.#pc;
    this.#run(async () => {
      if (pc?.signalingState !== 'have-local-offer') return;
      await pc.setRemoteDescription({type: 'answer', sdp});
      await this.#addEarly(pc);
    });
  }

  #candidate(init) {
    this.#run(async () => {
      if (this.#pc?.remoteDescription) await this.#add(this.#pc, init);
      else this.#early.push(init);
    });
  }

  async #addEarly(pc) {
    for (const init of this.#early.splice(0)) await this.#add(pc, init);
  }

  async #add(pc, init) {
    if (belongs(init, pc.remoteDescription.sdp)) await pc.addIceCandidate(init).catch(() => {});
  }

  #renew() {
    this.#pc?.close();
    const pc = this.#pc = new RTCPeerConnection({iceServers: this.#iceServers});
    this.#early = [];
    this.#late = [];
    pc.onicecandidate = e => {
      if (!e.candidate || pc !== this.#pc) return;
      if (this.#late) this.#late.push(e.candidate);
      else this.#send({candidate: e.candidate});
    };
    pc.ondatachannel = e => this.#take(e.channel);
    pc.onconnectionstatechange = () => {
      if (pc !== this.#pc) return;
      if (pc.connectionState === 'connected') show(`Connected with ${this.#partner}.`, 'good');
      if (pc.connectionState === 'disconnected') show(`${this.#partner} is silent…`, 'busy');
      if (pc.connectionState === 'failed') show(`No connection with ${this.#partner}.`, 'bad');
    };
    return pc;
  }

  /** Says the sentence once, and shows what is heard. */
  #take(channel) {
    let said = false; // a channel of the peer is open when it is announced, and opens once more after that
    channel.onopen = () => {
      if (said) return;
      said = true;
      channel.send(greeting);
      chat.say(this.#me, greeting, true);
    };
    channel.onmessage = e => {
      if (typeof e.data === 'string') chat.say(this.#partner, e.data, false);
    };
    channel.onclose = () => chat.note('The channel was closed.');
    if (channel.readyState === 'open') channel.onopen();
  }

  /** Candidates go out after the description. */
  #describe(pc) {
    if (pc !== this.#pc) return;
    const {type, sdp} = pc.localDescription;
    this.#send({type, sdp});
    for (const candidate of this.#late) this.#send({candidate});
    this.#late = null;
  }

  #run(step) {
    this.#chain = this.#chain.then(step).catch(error => {
      if (error.name !== 'InvalidStateError') show(`The two cannot agree: ${error.message}`, 'bad');
    });
  }
}

function be(name, calls) {
  const hello = new Hello(name, calls);
  byId('choice').hidden = true;
  byId('callBtn').hidden = name !== offerer;
  byId('callBtn').onclick = () => hello.call();
}

const params = new URLSearchParams(location.search);
byId('gandalfBtn').onclick = () => be(offerer, false);
byId('sarumanBtn').onclick = () => be(answerer, false);
if ([offerer, answerer].includes(params.get('as'))) be(params.get('as'), params.get('call') === '1');
