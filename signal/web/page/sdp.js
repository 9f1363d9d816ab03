// The few things to know about a session description without parsing it.

/**
 * The description as it goes over the wire: its session name says that it comes
 * from a peer that settles two calls crossing each other by the names (phone.js).
 * That of an answer differs, because Janus copies the name from the offer to its answer.
 */
export function signed(sdp, type) {
  return sdp.replace(/^s=.*$/m, type === 'answer' ? 's=parley-answer' : 's=parley');
}

/** Whether an offer comes from such a peer. */
export function isSigned(sdp) {
  return /^s=parley\r?$/m.test(sdp);
}

/**
 * What a peer wishes for that makes no offers itself: an offer without sections, with
 * a=parley-wish: and any of audio, video (room to send one more) and ice (a new path), or
 * path alone (a new path, if nothing comes here either).
 */
export function wishes(sdp) {
  const wish = isSigned(sdp) && !/^m=/m.test(sdp) && /^a=parley-wish(?::(.*))?$/m.exec(sdp);
  return wish ? (wish[1] ?? '').split(/\s+/).filter(Boolean).slice(0, 16) : null;
}

/** Why the other side did not take our offer, by an answer that leaves everything as it was; '' if it took it. */
export function refusal(sdp) {
  const refused = /^s=parley-answer\r?$/m.test(sdp) && /^a=parley-refusal(?::(.*))?$/m.exec(sdp);
  return refused ? (refused[1] ?? '').trim().slice(0, 200) || 'no reason given' : '';
}

/** The session id of the o= line: it stays for the life of an RTCPeerConnection (RFC 9429 section 5.2.2). */
export function session(sdp) {
  return /^o=\S+ (\S+)/m.exec(sdp)?.[1] ?? '';
}

export function hasData(sdp) {
  return /^m=application [1-9]/m.test(sdp);
}

/** Whether a candidate belongs to the description, as far as it says. */
export function belongs(candidate, sdp) {
  const ufrag = candidate.usernameFragment ?? / ufrag (\S+)/.exec(candidate.candidate)?.[1];
  return !ufrag || sdp.split(/\r?\n/).includes('a=ice-ufrag:' + ufrag);
}
