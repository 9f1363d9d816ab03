// One call: one RTCPeerConnection with one peer.

import {TextChannel} from './channel.js';
import {newExtension, parseExtension} from './extension.js';
import {protocol} from './files.js';
import {useServers} from './ice.js';
import {belongs, hasData, hasUnchanged, restarts, session, unchanged, withStereo} from './sdp.js';
import {sortsBefore} from './text.js';

const mediaPatience = 10000; // ms to wait for a camera that the browser is asking about
const answerPatience = 45000; // ms for the other to answer: people take a while
const connectPatience = 30000; // ms from the answer to the connection
const recoveryPatience = 20000; // ms after a failed connection
const restartPause = 2000; // ms between two rejected ICE restarts, or there is no further one
const answerPause = 30000; // ms between two answers that this browser cannot apply, or the connection is given up

/**
 * Call is one call with a peer. Everything that touches the descriptions runs one after the other,
 * in the order in which it came.
 * on: {state(connection state), ended(reason, error), broken(error): the connection stands, but takes
 * no further descriptions, replaced(offer, messages): the offer needs a new Call, which handles the
 * messages after it, remote(stream), negotiated(), offerRejected(why, byPeer),
 * answerRejected(why, byPeer): nothing changes by it, files(channel)} and what TextChannel takes.
 */
export class Call {
  peer;
  caller;
  established = false; // an offer has been answered
  outstanding = false; // our offer has not been answered
  remote = new MediaStream();
  text;
  textPossible = true;
  code = ''; // to verify the peer by, once it was shown
  #name; // of this side
  #pc;
  #local;
  #iceServers;
  #send;
  #on;
  #chain = Promise.resolve();
  #inbox = []; // messages of the peer that are not handled yet
  #early = []; // candidates of the peer that came before its description
  #late = null; // our candidates until our description is sent
  #timer = 0;
  #restarted = false;
  #offerNumber = 0; // of our last offer
  #offerProcessed = 0; // number of our last offer that the peer has answered or rejected
  #answered = null; // the last answer we sent, and the number of its offer
  #offerNeeded = false; // once the signaling state is stable
  #restartNeeded = false; // and by that offer
  #restartRejectedAt = -Infinity; // by performance.now()
  #answerRejectedAt = -Infinity;
  #answerRejected = ''; // why the last answer could not be applied, for the next offer
  #before; // the call in whose place this one comes
  #closed = false;

  /** before is a detached call, closed once this one is established: a closed connection says that somebody hung up. */
  constructor({name, peer, caller, local, iceServers, send, on, before = null}) {
    this.#name = name;
    this.peer = peer;
    this.caller = caller;
    this.#before = before;
    this.#local = local;
    this.#iceServers = iceServers;
    this.#send = message => send({...message, name: peer});
    this.#on = on;
    this.text = new TextChannel(on);
    const pc = this.#pc = new RTCPeerConnection({iceServers: iceServers()});
    pc.onicecandidate = e => this.#candidate(e.candidate);
    pc.onconnectionstatechange = () => this.#state(pc.connectionState);
    pc.ondatachannel = e => {
      if (e.channel.protocol === protocol) on.files(e.channel);
      else this.text.take(e.channel);
    };
    pc.ontrack = e => {
      this.remote.addTrack(e.track);
      on.remote(this.remote);
    };
  }

  /** Makes the first offer. answerRejected is why the connection before was given up, if there was one. */
  offer(answerRejected = '') {
    this.#answerRejected = answerRejected;
    this.#run(async pc => {
      await this.#local.settled(mediaPatience);
      if (this.#closed) return;
      this.text.open(pc);
      for (const kind of ['audio', 'video']) this.#addTransceiver(kind);
      await this.#sendOffer();
    });
  }

  /** Handles an offer, an answer or a candidate of the peer, once all before it is done. */
  receive(message) {
    this.#inbox.push(message);
    this.#run(() => this.#handle(this.#inbox.shift()));
  }

  /** Both descriptions in force, ours first. */
  get descriptions() {
    return [this.#pc.localDescription?.sdp ?? '', this.#pc.remoteDescription?.sdp ?? ''];
  }

  /** Whether a description comes from the RTCPeerConnection that this call is with, as far as it says. */
  isSession(sdp) {
    const now = this.#pc.remoteDescription?.sdp;
    return !now || !session(sdp) || session(now) === session(sdp);
  }

  /** Opens a channel to send files by. */
  openFiles() { return this.#pc.createDataChannel('files', {protocol}); }

  /** Sends a camera or microphone that came after the call had begun. */
  useLateTracks() {
    for (const t of this.#pc.getTransceivers()) {
      const track = this.#local.track(t.receiver.track.kind);
      if (track && !t.sender.track && /send/.test(t.direction)) t.sender.replaceTrack(track).catch(() => {});
    }
  }

  /** Closes everything. Returns the texts that were not sent. */
  close() {
    const unsent = this.detach();
    this.#pc.close();
    return unsent;
  }

  /** Stops everything, and leaves the connection open. Returns the texts that were not sent. */
  detach() {
    this.#closed = true;
    clearTimeout(this.#timer);
    const pc = this.#pc;
    pc.onicecandidate = pc.onconnectionstatechange = pc.ondatachannel = pc.ontrack = null;
    this.#before?.close();
    return this.text.close();
  }

  #run(step) {
    this.#chain = this.#chain.then(async () => {
      if (this.#closed) return;
      try {
        await step(this.#pc);
      } catch (error) {
        if (this.#closed) return;
        if (this.established) this.#on.broken(error);
        else this.#on.ended('negotiation', error);
      }
    });
  }

  #handle({type, offer, answer, candidate}) {
    switch (type) {
      case 'offer': return this.#handleOffer(offer);
      case 'answer': return this.#handleAnswer(answer);
      default: return this.#handleCandidate(candidate);
    }
  }

  /** Answers an offer, the first or another one in the same call, unless ours crosses it and stands. */
  async #handleOffer(offer) {
    const {sdp} = offer, extension = parseExtension(offer.parley, 'offer');
    const isOther = this.established && !this.isSession(sdp); // the peer has loaded its page anew, or called again
    if (extension && !isOther) {
      const processed = this.#answered?.number ?? 0;
      if (extension.number === processed) this.#send(this.#answered.message); // a duplicate, because the answer was lost
      if (extension.number <= processed || extension.processed < this.#offerProcessed) return; // the peer has dropped it
    }
    const crossed = this.outstanding && !(extension && extension.processed === this.#offerNumber);
    if (crossed && (!extension || this.#before?.isSession(sdp))) return; // other peers take back their own
    if (crossed && !isOther && !this.#isPolite(extension)) return;
    if (isOther || crossed && !this.established) this.#on.replaced(offer, this.#inbox);
    else await this.#answer(sdp, extension);
  }

  /** Whether we take back our offer when it crosses one of the peer. A browser may lose video by that, and a terminal does not. */
  #isPolite(extension) {
    return extension.browser && !sortsBefore(this.#name, this.peer);
  }

  async #answer(sdp, extension) {
    const pc = this.#pc, crossed = this.outstanding; // or the answer to ours was lost
    if (!this.established) {
      await this.#local.settled(mediaPatience);
      if (this.#closed) return;
      for (const track of this.#local.stream.getTracks()) pc.addTrack(track, this.#local.stream);
    }
    this.outstanding = false;
    if (this.established) useServers(pc, this.#iceServers()); // the offer may restart ICE
    try {
      await pc.setRemoteDescription({type: 'offer', sdp}); // rolls back our offer, if one is out
      if (/^a=simulcast:/m.test(sdp)) await this.#place();
      this.#reserve();
      await this.#flushEarly();
      this.#late ??= [];
      await this.#describe();
    } catch (error) {
      await this.#rejectOffer(sdp, extension, error, crossed);
      return;
    }
    this.textPossible = hasData(sdp);
    this.established = true;
    this.#sendAnswer(pc.localDescription.sdp, extension);
    this.#sendLate();
    this.#negotiated();
    if (extension?.answerRejected) this.#on.answerRejected(extension.answerRejected, true);
    await this.#negotiate();
  }

  /** Rejects an offer that this browser cannot apply: a call goes on as it was, and one that has not begun ends. */
  async #rejectOffer(sdp, extension, error, crossed) {
    if (this.#closed) return;
    const pc = this.#pc, {currentLocalDescription: ours, currentRemoteDescription: theirs} = pc;
    if (extension) this.#sendAnswer('', extension, error.message || error.name);
    else if (this.established && hasUnchanged(sdp, ours.sdp, theirs.sdp)) this.#sendAnswer(unchanged(sdp, ours.sdp, theirs.sdp));
    if (!this.established) throw error;
    if (pc.signalingState === 'have-remote-offer') await pc.setRemoteDescription({type: 'rollback'});
    if (pc.signalingState === 'have-local-offer') await pc.setLocalDescription({type: 'rollback'});
    this.#forget();
    this.#sendLate();
    this.#on.offerRejected(error.message, false);
    if (crossed) this.#offerNeeded = true; // ours was taken back for theirs
    await this.#negotiate();
  }

  /** Applies the answer to our offer. Ignores one that is a duplicate or stale. */
  async #handleAnswer(answer) {
    const pc = this.#pc, extension = parseExtension(answer.parley, 'answer');
    if (pc.signalingState !== 'have-local-offer' || extension && extension.number !== this.#offerNumber) return;
    if (extension) this.#offerProcessed = extension.number;
    let {sdp} = answer;
    if (extension?.rejected) sdp = this.#unchanged(extension.rejected);
    try {
      await pc.setRemoteDescription({type: 'answer', sdp});
    } catch (error) {
      sdp = await this.#rejectAnswer(error);
    }
    this.outstanding = false;
    this.established = true;
    this.textPossible = hasData(sdp);
    await this.#flushEarly();
    this.#negotiated();
    if (extension?.rejected) this.#on.offerRejected(extension.rejected, true);
    await this.#negotiate();
  }

  /**
   * Has the call go on as it was after an answer that this browser cannot apply. Returns what is
   * applied in its place. The next offer tells the peer. Throws the error if that did not help the
   * last time, and where Chromium has applied a part of the answer: it applies nothing more then.
   */
  async #rejectAnswer(error) {
    const now = performance.now();
    if (!this.established || now - this.#answerRejectedAt < answerPause) throw error;
    this.#answerRejectedAt = now;
    const sdp = this.#unchanged(error.message);
    await this.#pc.setRemoteDescription({type: 'answer', sdp}).catch(() => { throw error; });
    this.#offerNeeded = true;
    this.#answerRejected = error.message || error.name;
    this.#on.answerRejected(error.message, false);
    return sdp;
  }

  /**
   * Returns the answer to our offer by which nothing changes. If the offer restarts ICE, which needs
   * new credentials of both peers, another one follows, unless the last was rejected a moment ago.
   */
  #unchanged(why) {
    if (!this.established) throw new Error(why);
    const {localDescription: out, currentLocalDescription: ours, currentRemoteDescription: theirs} = this.#pc;
    if (restarts(out.sdp, ours.sdp) && performance.now() - this.#restartRejectedAt > restartPause) {
      this.#restartRejectedAt = performance.now();
      this.#restartNeeded = true;
    }
    return unchanged(out.sdp, theirs.sdp, ours.sdp);
  }

  /** Handles a candidate of the peer, in any form: an object, null, or an empty string. */
  #handleCandidate(init) {
    if (typeof init?.candidate !== 'string') return null;
    return this.#pc.remoteDescription ? this.#add(init) : this.#early.push(init);
  }

  /** One for each kind, as the local side stands: sending now, sending once it is there, or only receiving. */
  #addTransceiver(kind) {
    const stream = this.#local.stream, track = this.#local.track(kind);
    const sends = track || this.#local.state[kind] === 'pending';
    this.#pc.addTransceiver(track ?? kind, sends ? {direction: 'sendrecv', streams: [stream]} : {direction: 'recvonly'});
  }

  /** Chromium has no place for a track in a section that comes in several sizes (simulcast) unless it is put there. */
  async #place() {
    const all = this.#pc.getTransceivers();
    for (const stray of all.filter(t => !t.mid && t.sender.track)) {
      const {track} = stray.sender;
      const free = all.find(t => t.mid && t.receiver.track.kind === track.kind && t.direction === 'recvonly' && !t.sender.track);
      if (!free) continue;
      this.#pc.removeTrack(stray.sender); // stopped, it would get the next section all the same, and leave it inactive
      free.direction = 'sendrecv';
      free.sender.setStreams?.(this.#local.stream);
      await free.sender.replaceTrack(track);
    }
  }

  /** Has the answer promise to send what is still being asked for, so that it can be added without another offer. */
  #reserve() {
    for (const t of this.#pc.getTransceivers()) {
      if (t.sender.track || this.#local.state[t.receiver.track.kind] !== 'pending' || t.direction !== 'recvonly') continue;
      t.direction = 'sendrecv';
      t.sender.setStreams?.(this.#local.stream);
    }
  }

  /** Makes an offer if one is needed, once no other is out. */
  async #negotiate() {
    const pc = this.#pc;
    if (!this.#offerNeeded && !this.#restartNeeded || pc.signalingState !== 'stable') return;
    if (this.#restartNeeded) {
      useServers(pc, this.#iceServers());
      pc.restartIce();
    }
    this.#offerNeeded = this.#restartNeeded = false;
    await this.#sendOffer();
  }

  /** Makes and sets our description: an answer if there is an offer of the peer, and else an offer. */
  async #describe() {
    const pc = this.#pc;
    const description = await (pc.signalingState === 'have-remote-offer' ? pc.createAnswer() : pc.createOffer());
    await pc.setLocalDescription(withStereo(description, pc.remoteDescription));
  }

  async #sendOffer() {
    this.#late ??= [];
    this.outstanding = true;
    await this.#describe();
    const parley = newExtension(++this.#offerNumber, {processed: this.#answered?.number, answerRejected: this.#answerRejected});
    this.#answerRejected = '';
    this.#send({type: 'offer', offer: {type: 'offer', sdp: this.#pc.localDescription.sdp, parley}});
    this.#sendLate();
    this.#after(answerPatience, 'unanswered');
  }

  /** extension is that of the offer, if it has one. */
  #sendAnswer(sdp, extension = null, rejected = '') {
    const answer = {type: 'answer', sdp}, message = {type: 'answer', answer};
    if (extension) {
      answer.parley = newExtension(extension.number, {rejected});
      this.#answered = {number: extension.number, message};
    }
    this.#send(message);
  }

  #sendLate() {
    const late = this.#late ?? [];
    this.#late = null;
    for (const candidate of late) this.#candidate(candidate);
  }

  /** Ours go out after the description they belong to. */
  #candidate(candidate) {
    if (!candidate) return; // the end; the wire has no word for it that all pages understand
    if (this.#late) this.#late.push(candidate);
    else this.#send({type: 'candidate', candidate});
  }

  #negotiated() {
    this.#watchTransport();
    this.#forget();
    this.#before?.close();
    this.#before = null;
    clearTimeout(this.#timer);
    // Without a candidate of the other side a browser would wait for ever.
    if (this.#pc.connectionState !== 'connected') this.#after(connectPatience, 'failed');
    this.#on.negotiated();
  }

  /** Removes the tracks that the peer no longer sends: a player shows the first one, even if nothing comes by it. */
  #forget() {
    const used = this.#pc.getTransceivers().filter(t => /recv/.test(t.currentDirection));
    const comes = new Set(used.map(t => t.receiver.track));
    const gone = this.remote.getTracks().filter(track => !comes.has(track));
    for (const track of gone) this.remote.removeTrack(track);
    if (gone.length) this.#on.remote(this.remote);
  }

  /**
   * Who closes its connection says so in DTLS too (close_notify): that way a hang-up is known even
   * if the server has lost the call meanwhile. connectionState does not tell it apart from a failure.
   */
  #watchTransport() {
    const transport = this.#pc.sctp?.transport ?? this.#pc.getSenders().find(s => s.transport)?.transport;
    if (!transport || transport.onstatechange) return;
    transport.onstatechange = () => {
      if (transport.state === 'closed' && !this.#closed) this.#on.ended('left');
    };
  }

  async #flushEarly() {
    for (const init of this.#early.splice(0)) await this.#add(init);
  }

  async #add(init) {
    // Those of an offer that was ignored, and those that this browser cannot use, do no harm.
    if (!belongs(init, this.#pc.remoteDescription.sdp)) return;
    await this.#pc.addIceCandidate(init).catch(() => {});
  }

  #state(state) {
    if (state === 'connected') {
      clearTimeout(this.#timer);
      this.#restarted = false;
    }
    if (state === 'failed') this.#recover();
    if (state === 'closed') this.#on.ended('lost');
    else this.#on.state(state);
  }

  /** The caller restarts ICE, once. The callee waits for that. */
  #recover() {
    if (this.#restarted) {
      this.#on.ended('failed');
      return;
    }
    this.#restarted = true;
    this.#after(recoveryPatience, 'failed');
    if (!this.caller) return;
    this.#run(async () => {
      this.#restartNeeded = true;
      await this.#negotiate();
      this.#after(recoveryPatience, 'failed');
    });
  }

  #after(ms, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#on.ended(reason), ms);
  }
}
