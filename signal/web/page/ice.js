// ICE servers, as the signaling server hands them out.

const maxServers = 16;
const minRenewal = 1000, maxRenewal = 2 ** 31 - 1; // ms; a longer timer fires at once

/** ICEServers holds the latest servers, and requests others before their credentials expire. */
export class ICEServers {
  /** @type {RTCIceServer[]} */
  list = [];
  #request;
  #timer = 0;

  /** @param {() => void} request asks the server, which replies with a message for take */
  constructor(request) {
    this.#request = request;
  }

  /**
   * Takes the servers of a reply. Only a server that says for how long they are valid has an answer
   * to the request for others, which is sent after half of that time.
   * @param {{iceServers?: unknown, iceServersFor?: unknown}} reply
   */
  take({iceServers, iceServersFor}) {
    this.list = Array.isArray(iceServers) ? iceServers.slice(0, maxServers).filter(isUsable) : [];
    this.stop();
    const wait = renewalIn(iceServersFor);
    if (wait) this.#timer = setTimeout(this.#request, wait);
  }

  /** Requests no others. */
  stop() {
    clearTimeout(this.#timer);
  }
}

/**
 * Returns when to request others, in ms: at half of the time that they can begin a call; 0 for never.
 * @param {unknown} validFor in ms
 */
export function renewalIn(validFor) {
  const ms = Number.isFinite(validFor) ? /** @type {number} */ (validFor) : 0;
  return ms > 0 ? Math.min(Math.max(ms / 2, minRenewal), maxRenewal) : 0;
}

/**
 * Lets a connection that restarts ICE use other servers.
 * @param {RTCPeerConnection} pc
 * @param {RTCIceServer[]} servers
 */
export function useServers(pc, servers) {
  try {
    pc.setConfiguration({...pc.getConfiguration(), iceServers: servers});
  } catch { /* a browser that cannot keeps the old ones */ }
}

/**
 * Reports whether the browser accepts a server: one that it refuses would make it refuse the call.
 * @param {RTCIceServer} server
 */
function isUsable(server) {
  try {
    new RTCPeerConnection({iceServers: [server]}).close();
    return true;
  } catch {
    return false;
  }
}
