// The few things to know about a session description without parsing it.

/**
 * The description as it goes over the wire: its session name says that it comes
 * from a peer that settles two calls crossing each other by the names (phone.js).
 * That of an answer differs, because Janus copies the name from the offer to its answer.
 * why tells why something of the other side was not taken, in one line that browsers ignore.
 */
export function signed(sdp, type, why = '') {
  const named = sdp.replace(/^s=.*$/m, type === 'answer' ? 's=parley-answer' : 's=parley');
  return why ? named.replace(/^(?=m=)/m, refusalLine(why)) : named;
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
  return /^s=parley-answer\r?$/m.test(sdp) ? reason(sdp) : '';
}

/** Why the other side could not take our answer, by the offer that it makes next; '' if it took it. */
export function untaken(sdp) {
  return isSigned(sdp) ? reason(sdp) : '';
}

function reason(sdp) {
  const refused = /^a=parley-refusal(?::(.*))?$/m.exec(sdp);
  return refused ? (refused[1] ?? '').trim().slice(0, 200) || 'no reason given' : '';
}

/** The answer that takes nothing: it has no sections, and says why in one line that all may show. */
export function refusing(why) {
  return `v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=parley-answer\r\nt=0 0\r\n${refusalLine(why)}`;
}

function refusalLine(why) {
  return `a=parley-refusal:${String(why).replace(/[^ -~]/g, '?').slice(0, 200)}\r\n`;
}

/**
 * The answer to an offer of ours by which nothing changes: the other side's description in force, with no to
 * what is new. ours is our own in force. (Taking the offer back would do too, but in Chromium 156 the picture
 * of a call that goes on does not outlive that.)
 */
export function unchanged(offer, theirs, ours) {
  const [head, ...inForce] = sections(theirs);
  const stands = (asked, was) => was && mid(was) === mid(asked) && !rejects(was) && (!rejects(asked) || /^a=bundle-only/m.test(asked));
  const asked = sections(offer).slice(1);
  const bundle = asked.filter((section, i) => stands(section, inForce[i])).map(section => ' ' + mid(section)).join('');
  const answers = asked.map((section, i) => stands(section, inForce[i]) ? within(inForce[i], section) : rejecting(section));
  const role = /^a=setup:active/m.test(ours) ? 'passive' : 'active';
  return [head.replace(/^(a=group:BUNDLE).*$/m, '$1' + bundle), ...answers].join('').replace(/^a=setup:actpass/gm, 'a=setup:' + role);
}

/**
 * The answer to an offer by which nothing changes here, for who is no parley; '' where there is none, because
 * it starts ICE anew or has nothing of the call. Why, in one line, is for who reads what passes.
 */
export function standing(offer, ours, theirs, why) {
  const answer = unchanged(offer, ours, theirs);
  if (restarts(offer, theirs) || !/^m=\S+ [1-9]/m.test(answer)) return '';
  return signed(answer, 'answer', why);
}

/** A section in force as the answer to one that is offered: Firefox takes none with a codec or an extension more. */
function within(section, asked) {
  const formats = new Set(asked.split(/\r?\n/, 1)[0].split(' ').slice(3));
  const extensions = new Set(Array.from(asked.matchAll(/^a=extmap:\S+ (\S+)/gm), m => m[1]));
  const sends = /^a=(sendrecv|sendonly)/m, takes = /^a=(sendrecv|recvonly)/m;
  const out = sends.test(section) && takes.test(asked), back = takes.test(section) && sends.test(asked);
  return section
    .replace(/^(m=\S+ \S+ \S+) ([^\r\n]*)/, (_, start, list) => [start, ...list.split(' ').filter(format => formats.has(format))].join(' '))
    .replace(/^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) .*\r?\n/gm, (line, format) => formats.has(format) ? line : '')
    .replace(/^a=extmap:\S+ (\S+).*\r?\n/gm, (line, extension) => extensions.has(extension) ? line : '')
    .replace(/^a=(?:sendrecv|sendonly|recvonly|inactive)/m, 'a=' + (out ? back ? 'sendrecv' : 'sendonly' : back ? 'recvonly' : 'inactive'));
}

function rejecting(asked) {
  return asked.split(/\r?\n/, 1)[0].replace(/ \d+/, ' 0') + `\r\nc=IN IP4 0.0.0.0\r\na=mid:${mid(asked)}\r\na=inactive\r\n`;
}

function rejects(section) {
  return /^m=\S+ 0 /.test(section);
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
