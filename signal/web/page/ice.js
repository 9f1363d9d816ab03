// ICE servers, as the signaling server hands them out at login.

const most = 16; // servers that are kept

/** The usable ones in a member iceServers; an original server sends none. */
export function iceServers(value) {
  if (!Array.isArray(value)) return [];
  return value.slice(0, most).filter(usable);
}

/** When to ask for others, in ms: at half of the time that they can begin a call; 0 for never. */
export function renewalIn(value) {
  return Number.isFinite(value) && value > 0 ? Math.min(Math.max(value / 2, 1000), 2 ** 31 - 1) : 0;
}

/** Lets a connection that starts ICE anew use the servers of now. */
export function useServers(pc, servers) {
  try {
    pc.setConfiguration({...pc.getConfiguration(), iceServers: servers});
  } catch { /* a browser that cannot keeps the old ones */ }
}

/** One that the browser refuses would make it refuse the whole call. */
function usable(server) {
  try {
    new RTCPeerConnection({iceServers: [server]}).close();
    return true;
  } catch {
    return false;
  }
}
