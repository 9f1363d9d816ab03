// Reads and edits session descriptions as text.

/**
 * Returns the answer to an offer by which nothing changes: the answerer's description in force, with
 * the new m-sections rejected. offerers is the offerer's in force. (To our own offer a rollback would
 * do too, but Chromium 156 loses the video of a call by it.)
 * @param {string} offer
 * @param {string} answerers
 * @param {string} offerers
 */
export function unchanged(offer, answerers, offerers) {
  const [head, ...inForce] = sections(answerers);
  const stands = (/** @type {string} */ asked, /** @type {string | undefined} */ was) => was && mid(was) === mid(asked) && !rejects(was) && (!rejects(asked) || /^a=bundle-only/m.test(asked));
  const asked = sections(offer).slice(1);
  const bundle = asked.filter((section, i) => stands(section, inForce[i])).map(section => ' ' + mid(section)).join('');
  const answers = asked.map((section, i) => stands(section, inForce[i]) ? within(inForce[i], section) : rejecting(section));
  const role = /^a=setup:active/m.test(offerers) ? 'passive' : 'active';
  return [head.replace(/^(a=group:BUNDLE).*$/m, (_, group) => group + bundle), ...answers].join('').replace(/^a=setup:actpass/gm, 'a=setup:' + role);
}

/**
 * Reports whether an offer has such an answer: it does not restart ICE, and has an m-section of the call.
 * @param {string} offer
 * @param {string} answerers
 * @param {string} offerers
 */
export function hasUnchanged(offer, answerers, offerers) {
  return !restarts(offer, offerers) && /^m=\S+ [1-9]/m.test(unchanged(offer, answerers, offerers));
}

/** Returns an m-section in force as the answer to an offered one: Firefox applies none with more codecs or extensions. */
function within(/** @type {string} */ section, /** @type {string} */ asked) {
  const formats = new Set(asked.split(/\r?\n/, 1)[0].split(' ').slice(3));
  const extensions = new Set(Array.from(asked.matchAll(/^a=extmap:\S+ (\S+)/gm), m => m[1]));
  const sends = /^a=(sendrecv|sendonly)/m, takes = /^a=(sendrecv|recvonly)/m;
  const out = sends.test(section) && takes.test(asked), back = takes.test(section) && sends.test(asked);
  return section
    .replace(/^(m=\S+ \S+ \S+) ([^\r\n]*)/, (_, start, list) => [start, ...list.split(' ').filter((/** @type {string} */ format) => formats.has(format))].join(' '))
    .replace(/^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) .*\r?\n/gm, (line, format) => formats.has(format) ? line : '')
    .replace(/^a=extmap:\S+ (\S+).*\r?\n/gm, (line, extension) => extensions.has(extension) ? line : '')
    .replace(/^a=(?:sendrecv|sendonly|recvonly|inactive)/m, 'a=' + (out ? back ? 'sendrecv' : 'sendonly' : back ? 'recvonly' : 'inactive'));
}

/** Returns the answer that rejects an m-section. */
function rejecting(/** @type {string} */ asked) {
  return asked.split(/\r?\n/, 1)[0].replace(/ \d+/, ' 0') + `\r\nc=IN IP4 0.0.0.0\r\na=mid:${mid(asked)}\r\na=inactive\r\n`;
}

function rejects(/** @type {string} */ section) {
  return /^m=\S+ 0 /.test(section);
}

/** Returns the session part, and then the m-sections. */
function sections(/** @type {string} */ sdp) {
  return sdp.split(/^(?=m=)/m);
}

function mid(/** @type {string} */ section) {
  return /^a=mid:(\S+)/m.exec(section)?.[1];
}

/** Reports whether a description restarts ICE after the one before. */
export function restarts(/** @type {string} */ sdp, /** @type {string} */ before) {
  const ufrag = (/** @type {string} */ text) => /^a=ice-ufrag:(.*)/m.exec(text)?.[1];
  return ufrag(sdp) !== ufrag(before);
}

/** Returns the session id of the o= line, which stays for the life of an RTCPeerConnection (RFC 9429 section 5.2.2). */
export function session(/** @type {string} */ sdp) {
  return /^o=\S+ (\S+)/m.exec(sdp)?.[1] ?? '';
}

/**
 * Returns a local description in which Opus is declared as stereo (RFC 7587 section 6.1). Chromium decodes what it
 * receives in stereo only if its own description has stereo=1. sprop-stereo=1 is declared in an answer, and in an offer
 * if the peer declares it too: webrtcbin of GStreamer finds no section for a mono track if the offer has it.
 * @param {RTCSessionDescriptionInit} description
 * @param {{sdp: string} | null} remote
 * @returns {RTCLocalSessionDescriptionInit}
 */
export function withStereo({type, sdp = ''}, remote) {
  const sends = type === 'answer' || /^a=fmtp:.*\bsprop-stereo=1\b/im.test(remote?.sdp ?? '');
  const declared = sends ? ['stereo=1', 'sprop-stereo=1'] : ['stereo=1'];
  const edited = sections(sdp).map(section => {
    const formats = Array.from(section.matchAll(/^a=rtpmap:(\d+) opus\/48000\/2\b/gim), m => m[1]);
    return [...new Set(formats)].reduce((text, format) => declareStereo(text, format, declared), section);
  });
  return {type, sdp: edited.join('')};
}

function declareStereo(/** @type {string} */ section, /** @type {string} */ format, /** @type {string[]} */ declared) {
  const fmtp = new RegExp(`^a=fmtp:${format} ([^\\r\\n]*)`, 'm'), rtpmap = new RegExp(`^a=rtpmap:${format} [^\\r\\n]*`, 'm');
  const others = (fmtp.exec(section)?.[1] ?? '').split(';').filter(p => p.trim() && !/^\s*(sprop-)?stereo\s*(=|$)/i.test(p));
  const line = `a=fmtp:${format} ${[...others, ...declared].join(';')}`;
  return fmtp.test(section) ? section.replace(fmtp, () => line) : section.replace(rtpmap, found => found + '\r\n' + line);
}

/** Reports whether a description has data channels. */
export function hasData(/** @type {string} */ sdp) {
  return /^m=application [1-9]/m.test(sdp);
}

/** Reports whether a candidate belongs to the description, as far as it says. */
export function belongs(/** @type {RTCIceCandidateInit} */ candidate, /** @type {string} */ sdp) {
  const ufrag = candidate.usernameFragment ?? / ufrag (\S+)/.exec(candidate.candidate ?? '')?.[1];
  return !ufrag || sdp.split(/\r?\n/).includes('a=ice-ufrag:' + ufrag);
}
