// What becomes of a connection: established in time, failed, restarted, or closed by the peer.

const answerPatience = 45000; // ms for the peer to answer: people take a while
const connectPatience = 30000; // ms from the answer to the connection
const recoveryPatience = 20000; // ms after a failed connection

/** @typedef {'hung up' | 'left' | 'absent' | 'unanswered' | 'failed' | 'lost' | 'negotiation'} EndReason */

/**
 * @typedef {object} RecoveryEvents
 * @property {(state: RTCPeerConnectionState) => void} state
 * @property {(reason: EndReason) => void} ended
 * @property {() => void} restartICE
 */

/** Recovery follows the state of one RTCPeerConnection, and has ICE restarted once after it has failed. */
export class Recovery {
  #pc;
  #on;
  #caller;
  #timer = 0;
  #restarted = false;
  #patient;

  /**
   * @param {RTCPeerConnection} pc
   * @param {boolean} caller restarts ICE; the callee waits for that
   * @param {RecoveryEvents} on
   * @param {boolean} [patient] waits for the first connection without an end, and offers no restart
   */
  constructor(pc, caller, on, patient = false) {
    this.#pc = pc;
    this.#patient = patient;
    this.#on = on;
    this.#caller = caller;
    pc.onconnectionstatechange = () => this.#stateChanged(pc.connectionState);
  }

  /** The first offer was sent: the peer has answerPatience to answer. */
  offered() {
    if (!this.#patient) this.#after(answerPatience, 'unanswered');
  }

  /** A restart was offered. */
  restarted() {
    this.#after(recoveryPatience, 'failed');
  }

  /** Descriptions are in force. Without a candidate of the peer a browser would wait for ever. */
  negotiated() {
    this.#watchTransport();
    clearTimeout(this.#timer);
    if (this.#pc.connectionState !== 'connected' && !this.#patient) this.#after(connectPatience, 'failed');
  }

  stop() {
    clearTimeout(this.#timer);
    this.#pc.onconnectionstatechange = null;
    const transport = this.#transport();
    if (transport) transport.onstatechange = null;
  }

  #transport() {
    return this.#pc.sctp?.transport ?? this.#pc.getSenders().find(s => s.transport)?.transport;
  }

  /**
   * A closed connection says so in DTLS too (close_notify): that way a hang-up is known even if the
   * server has lost the call meanwhile. connectionState does not distinguish it from a failure.
   */
  #watchTransport() {
    const transport = this.#transport();
    if (!transport || transport.onstatechange) return;
    transport.onstatechange = () => { if (transport.state === 'closed') this.#on.ended('left'); };
  }

  /** @param {RTCPeerConnectionState} state */
  #stateChanged(state) {
    if (state === 'connected') {
      clearTimeout(this.#timer);
      this.#restarted = this.#patient;
    }
    if (state === 'failed' && (this.#restarted || !this.#patient)) this.#recover();
    if (state === 'closed') this.#on.ended('lost');
    else this.#on.state(state);
  }

  #recover() {
    if (this.#restarted) {
      this.#on.ended('failed');
      return;
    }
    this.#restarted = true;
    this.#after(recoveryPatience, 'failed');
    if (this.#caller) this.#on.restartICE();
  }

  /** @param {number} ms @param {EndReason} reason */
  #after(ms, reason) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#on.ended(reason), ms);
  }
}
