// One call: one RTCPeerConnection with one peer.

import {TextChannel} from './channel.js';
import {protocol} from './files.js';
import {useServers} from './ice.js';
import {belongs, hasData, hasSections, isSigned, refusal, refusing, restarts, session, signed, standing, unchanged, untaken, wishes} from './sdp.js';

const mediaPatience = 10000; // ms to wait for a camera that the browser is asking about
const answerPatience = 45000; // ms for the other to answer: people take a while
const connectPatience = 30000; // ms from the answer to the connection
const recoveryPatience = 20000; // ms after a failed connection
const refusalPause = 2000; // ms between two restarts that were refused
const untakenPause = 30000; // ms between two answers that this browser cannot take, or the connection is given up

/**
 * Call is either side of a call. Everything that touches the descriptions runs
 * one after the other, in the order in which it came.
 * on: {state(connection state), ended(reason, error), broken(error): it stands, but can be changed no more, remote(stream),
 * negotiated(), refused(why), declined(why), untaken(why, theirs): an answer was not, files(channel)} and what TextChannel takes.
 */
export class Call {
  peer;
  caller;
  established = false; // an offer has been answered
  outstanding = false; // our offer has not been answered
  remote = new MediaStream();
  text;
  textPossible = true;
  code = ''; // to verify the other side by, once it was shown
  #pc;
  #local;
  #iceServers;
  #send;
  #on;
  #chain = Promise.resolve();
  #early = []; // candidates of the peer that came before its description
  #late = null; // our candidates until our description is sent
  #timer = 0;
  #restarted = false;
  #wished = null; // what the next offer should have, by the other side's wish
  #heard = new Set(); // transceivers that the other side has used: what it has there may be of another codec
  #refusedAt = -Infinity; // when a restart was refused last, by performance.now()
  #untakenAt = -Infinity; // when an answer could not be taken last
  #why = ''; // it could not, for the other side to know from the next offer
  #before; // the call in whose place this one comes
  #closed = false;

  /** before is a call that was let go of, and is closed once this one stands: the end of a connection says that somebody hung up. */
  constructor({peer, caller, local, iceServers, send, on, before = null}) {
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

  /** Calls; why, if the connection before is given up, goes with it. */
  offer(why = '') {
    this.#why = why;
    return this.#run(async pc => {
      await this.#local.settled(mediaPatience);
      if (this.#closed) return;
      this.text.open(pc);
      for (const kind of ['audio', 'video']) this.#addTransceiver(kind);
      await this.#offerNow();
    });
  }

  /** Takes an offer, the first or another one in the same call, and answers it, or says why not. */
  answer(sdp) {
    return this.#run(async pc => {
      if (!this.established) {
        await this.#local.settled(mediaPatience);
        if (this.#closed) return;
        for (const track of this.#local.stream.getTracks()) pc.addTrack(track, this.#local.stream);
      }
      const crossed = this.outstanding;
      this.outstanding = false;
      if (this.established) useServers(pc, this.#iceServers()); // the offer may restart ICE
      try {
        await pc.setRemoteDescription({type: 'offer', sdp}); // takes back an offer of ours by itself
        if (/^a=simulcast:/m.test(sdp)) await this.#place();
        this.#reserve();
        await this.#flushEarly();
        this.#late ??= [];
        await pc.setLocalDescription();
      } catch (error) {
        await this.#refuse(sdp, error, crossed);
        return;
      }
      this.textPossible = hasData(sdp);
      this.established = true;
      this.#sendDescription('answer');
      this.#negotiated();
      const why = untaken(sdp);
      if (why) this.#on.untaken(why, true);
    });
  }

  /** Takes the answer to our offer. */
  accept(sdp) {
    return this.#run(async pc => {
      if (pc.signalingState !== 'have-local-offer') return;
      const why = refusal(sdp);
      if (why && !hasSections(sdp)) sdp = this.#refused(why);
      try {
        await pc.setRemoteDescription({type: 'answer', sdp});
      } catch (error) {
        sdp = await this.#keep(error);
      }
      this.outstanding = false;
      this.established = true;
      this.textPossible = hasData(sdp);
      await this.#flushEarly();
      this.#negotiated();
      if (why) this.#on.refused(why);
      await this.#grant();
    });
  }

  /** The answer that our offer has where it is refused. A restart is tried once more, without what else was in it. */
  #refused(why) {
    if (!this.established) throw new Error(why);
    const {localDescription: out, currentLocalDescription: ours, currentRemoteDescription: theirs} = this.#pc;
    if (restarts(out.sdp, ours.sdp) && performance.now() - this.#refusedAt > refusalPause) {
      this.#refusedAt = performance.now();
      this.#wished = ['ice'];
    }
    return unchanged(out.sdp, theirs.sdp, ours.sdp);
  }

  /**
   * Has the call go on as it was after an answer that this browser cannot take; returns what was taken for one. The
   * other side holds its answer to be in force, so it gets another offer. The error is thrown where
   * that did not help the last time, and where Chromium has stopped half-way: it takes nothing more then.
   */
  async #keep(error) {
    const now = performance.now();
    if (!this.established || now - this.#untakenAt < untakenPause) throw error;
    this.#untakenAt = now;
    const sdp = this.#refused(error.message);
    await this.#pc.setRemoteDescription({type: 'answer', sdp}).catch(() => { throw error; });
    this.#wished ??= [];
    this.#why = error.message;
    this.#on.untaken(error.message, false);
    return sdp;
  }

  /** The other side makes no offers of its own, and asks for one. */
  wish(sdp) {
    return this.#run(pc => {
      if (wishes(sdp).includes('path') && !['disconnected', 'failed'].includes(pc.connectionState)) return null; // it came late
      this.#wished = [...this.#wished ?? [], ...wishes(sdp)];
      return this.#grant();
    });
  }

  /** Takes a candidate of the peer, in any form: an object, null, or an empty string. */
  candidate(init) {
    if (typeof init?.candidate !== 'string') return;
    this.#run(pc => pc.remoteDescription ? this.#add(init) : this.#early.push(init));
  }

  /** Both descriptions in force, ours first. */
  get descriptions() {
    return [this.#pc.localDescription?.sdp ?? '', this.#pc.remoteDescription?.sdp ?? ''];
  }

  /** Whether a description comes from the RTCPeerConnection we are talking with, as far as it says. */
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

  /** Closes everything; returns what was never said. */
  close() {
    const unsaid = this.letGo();
    this.#pc.close();
    return unsaid;
  }

  /** Does nothing more, and leaves the connection open; returns what was never said. */
  letGo() {
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
    return this.#chain;
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

  /** Offers what was wished for, once no other offer is out. */
  async #grant() {
    const pc = this.#pc, wished = this.#wished;
    if (!wished || pc.signalingState !== 'stable') return;
    this.#wished = null;
    for (const kind of ['audio', 'video']) {
      // Firefox gives the codecs of a new section numbers that others have in the old ones, so those are used first.
      const free = pc.getTransceivers().filter(t => t.receiver.track.kind === kind && /recv/.test(t.direction) && !this.#heard.has(t));
      for (let more = wished.filter(word => word === kind).length - free.length; more > 0; more--) pc.addTransceiver(kind, {direction: 'recvonly'});
    }
    if (wished.includes('ice') || wished.includes('path')) {
      useServers(pc, this.#iceServers());
      pc.restartIce();
    }
    await this.#offerNow();
  }

  /** Says no to an offer that this browser cannot take: a call that stands stays as it was, one that has not begun is over. */
  async #refuse(sdp, error, crossed) {
    if (this.#closed) return;
    const pc = this.#pc;
    const no = isSigned(sdp) ? refusing(error.message)
      : this.established && standing(sdp, pc.currentLocalDescription.sdp, pc.currentRemoteDescription.sdp, error.message);
    if (no) this.#send({type: 'answer', answer: {type: 'answer', sdp: no}});
    if (!this.established) throw error;
    if (pc.signalingState === 'have-remote-offer') await pc.setRemoteDescription({type: 'rollback'});
    this.#forget();
    this.#sendLate();
    this.#on.declined(error.message);
    if (crossed) this.#wished ??= []; // ours has been taken back for theirs
    await this.#grant();
  }

  async #offerNow() {
    this.#late ??= [];
    this.outstanding = true;
    await this.#pc.setLocalDescription();
    this.#sendDescription('offer');
    this.#after(answerPatience, 'unanswered');
  }

  #sendDescription(type) {
    this.#send({type, [type]: {type, sdp: signed(this.#pc.localDescription.sdp, type, type === 'offer' ? this.#why : '')}});
    if (type === 'offer') this.#why = '';
    this.#sendLate();
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

  /** Lets go of what the other side has taken away: a player shows the first track, even if nothing comes by it any more. */
  #forget() {
    const used = this.#pc.getTransceivers().filter(t => /recv/.test(t.currentDirection));
    for (const t of used) this.#heard.add(t);
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

  /** The caller tries once more from the start of ICE; the other side waits for that. */
  #recover() {
    if (this.#restarted) {
      this.#on.ended('failed');
      return;
    }
    this.#restarted = true;
    this.#after(recoveryPatience, 'failed');
    if (!this.caller) return;
    this.#run(async pc => {
      if (pc.signalingState !== 'stable') return;
      useServers(pc, this.#iceServers());
      pc.restartIce();
      await this.#offerNow();
      this.#after(recoveryPatience, 'failed');
    });
  }

  #after(ms, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#on.ended(reason), ms);
  }
}
