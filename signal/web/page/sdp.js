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
  const wish = isSigned(sdp) && !hasSections(sdp) && /^a=parley-wish(?::(.*))?$/m.exec(sdp);
  return wish ? (wish[1] ?? '').split(/\s+/).filter(Boolean).slice(0, 16) : null;
}

/** Why the other side did not take our offer, by an answer that leaves everything as it was, or that has no sections; '' if it took it. */
export function refusal(sdp) {
  const refused = /^s=parley-answer\r?$/m.test(sdp) && /^a=parley-refusal(?::(.*))?$/m.exec(sdp);
  return refused ? (refused[1] ?? '').trim().slice(0, 200) || 'no reason given' : '';
}

/** The answer that takes nothing: it has no sections, and says why in one line that all may show. */
export function refusing(why) {
  const reason = String(why).replace(/[^ -~]/g, '?').slice(0, 200);
  return `v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=parley-answer\r\nt=0 0\r\na=parley-refusal:${reason}\r\n`;
}

/**
 * The answer to an offer of ours by which nothing changes: the other side's description in force, with no to
 * what is new. ours is our own in force. (Taking the offer back would do too, but in Chromium 156 the picture
 * of a call that goes on does not outlive that.)
 */
export function unchanged(offer, theirs, ours) {
  const [head, ...inForce] = sections(theirs);
  const answers = sections(offer).slice(1).map((asked, i) => {
    const stands = inForce[i] && mid(inForce[i]) === mid(asked) && !/^m=\S+ 0 /.test(inForce[i]);
    return stands ? inForce[i] : asked.split(/\r?\n/, 1)[0].replace(/ \d+/, ' 0') + `\r\nc=IN IP4 0.0.0.0\r\na=mid:${mid(asked)}\r\na=inactive\r\n`;
  });
  const role = /^a=setup:active/m.test(ours) ? 'passive' : 'active';
  return [head, ...answers].join('').replace(/^a=setup:actpass/gm, 'a=setup:' + role);
}

/** What is said of all, and then the media sections. */
function sections(sdp) {
  return sdp.split(/^(?=m=)/m);
}

function mid(section) {
  return /^a=mid:(\S+)/m.exec(section)?.[1];
}

/** Whether one description starts ICE anew after another. */
export function restarts(sdp, before) {
  const ufrag = text => /^a=ice-ufrag:(.*)/m.exec(text)?.[1];
  return ufrag(sdp) !== ufrag(before);
}

/** Whether it has sections. An answer without any refuses, and is none to a browser. */
export function hasSections(sdp) {
  return /^m=/m.test(sdp);
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
