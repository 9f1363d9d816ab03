// How good a connection is, from two reports of RTCPeerConnection.getStats (W3C webrtc-stats).

/** @typedef {Record<string, any>} Stat one entry of a report */

/**
 * @typedef {object} Sample the numbers of one report
 * @property {number} at in ms
 * @property {number | null} roundTrip in ms
 * @property {number} received packets
 * @property {number} lost packets, of those sent to us
 * @property {number | null} lostByPeer of what we sent, in percent
 * @property {number} bytesIn
 * @property {number} bytesOut
 * @property {Resolution | null} videoIn
 * @property {Resolution | null} videoOut
 * @property {string[]} codecs such as "VP8" and "opus"
 * @property {'direct' | 'relayed' | ''} route
 * @property {string} protocol "udp" or "tcp"
 */

/** @typedef {{width: number, height: number, framesPerSecond: number}} Resolution */

/**
 * @typedef {object} Quality what lies between two samples
 * @property {number} bars 0 (none) to 4 (good)
 * @property {number | null} roundTrip in ms
 * @property {number | null} lossIn in percent
 * @property {number | null} lossOut in percent
 * @property {number} rateIn in bit/s
 * @property {number} rateOut in bit/s
 * @property {Resolution | null} videoIn
 * @property {Resolution | null} videoOut
 * @property {string[]} codecs
 * @property {'direct' | 'relayed' | ''} route
 * @property {string} protocol
 */

// The most that four, three and two bars allow. A conversation suffers from 150 ms one way (ITU-T
// G.114), and audio from 3 % of loss in spite of concealment and FEC.
const roundTripLimits = [200, 400, 800]; // ms
const lossLimits = [1, 3, 8]; // percent

/**
 * Returns the numbers of a report.
 * @param {Iterable<Stat>} report the values of an RTCStatsReport
 * @param {number} at in ms
 * @returns {Sample}
 */
export function newSample(report, at) {
  const all = [...report], byId = new Map(all.map(s => [s.id, s]));
  const of = (/** @type {string} */ type) => all.filter(s => s.type === type);
  const incoming = of('inbound-rtp'), outgoing = of('outbound-rtp'), reports = of('remote-inbound-rtp');
  const pair = selectedPair(all, byId);
  const roundTrip = pair?.currentRoundTripTime ?? max(reports.map(s => s.roundTripTime));
  const lostByPeer = max(reports.map(s => s.fractionLost));
  return {
    at,
    roundTrip: roundTrip === null ? null : roundTrip * 1000,
    received: sum(incoming, 'packetsReceived'),
    lost: sum(incoming, 'packetsLost'),
    lostByPeer: lostByPeer === null ? null : lostByPeer * 100,
    bytesIn: sum(incoming, 'bytesReceived'),
    bytesOut: sum(outgoing, 'bytesSent'),
    videoIn: resolution(incoming),
    videoOut: resolution(outgoing),
    codecs: codecs([...incoming, ...outgoing], byId),
    ...route(pair, byId),
  };
}

/**
 * Returns the quality between two samples of one connection.
 * @param {Sample} now
 * @param {Sample} before
 * @returns {Quality}
 */
export function newQuality(now, before) {
  const seconds = Math.max((now.at - before.at) / 1000, 0.001);
  const lost = Math.max(now.lost - before.lost, 0), received = Math.max(now.received - before.received, 0);
  const lossIn = lost + received ? 100 * lost / (lost + received) : null;
  const {roundTrip, lostByPeer: lossOut, videoIn, videoOut, codecs, route, protocol} = now;
  return {
    bars: countBars(roundTrip, lossIn, lossOut), roundTrip, lossIn, lossOut,
    rateIn: 8 * Math.max(now.bytesIn - before.bytesIn, 0) / seconds,
    rateOut: 8 * Math.max(now.bytesOut - before.bytesOut, 0) / seconds,
    videoIn, videoOut, codecs, route, protocol,
  };
}

/**
 * Returns the number of bars, 1 to 4, or 0 where nothing is known.
 * @param {number | null} roundTrip in ms
 * @param {(number | null)[]} losses in percent
 */
export function countBars(roundTrip, ...losses) {
  const loss = max(losses);
  if (roundTrip === null && loss === null) return 0;
  const above = (/** @type {number | null} */ value, /** @type {number[]} */ limits) => limits.filter(limit => (value ?? 0) > limit).length;
  return 4 - Math.max(above(roundTrip, roundTripLimits), above(loss, lossLimits));
}

/** @param {number} bars */
export function barsText(bars) {
  return ['unknown', 'bad', 'poor', 'fair', 'good'][bars];
}

/**
 * Returns the rows of the table, as names and values.
 * @param {Quality} q
 * @returns {[string, string][]}
 */
export function qualityRows(q) {
  const size = (/** @type {Resolution | null} */ v) => v ? `${v.width}×${v.height}${v.framesPerSecond ? `, ${Math.round(v.framesPerSecond)} fps` : ''}` : 'none';
  const percent = (/** @type {number | null} */ n) => n === null ? 'unknown' : `${n.toFixed(n && n < 10 ? 1 : 0)} %`;
  return [
    ['Round trip', q.roundTrip === null ? 'unknown' : `${Math.round(q.roundTrip)} ms`],
    ['Loss, received', percent(q.lossIn)],
    ['Loss, sent', percent(q.lossOut)],
    ['Bitrate, received', bitrate(q.rateIn)],
    ['Bitrate, sent', bitrate(q.rateOut)],
    ['Video, received', size(q.videoIn)],
    ['Video, sent', size(q.videoOut)],
    ['Codecs', q.codecs.join(', ') || 'none'],
    ['Path', q.route ? `${q.route}${q.protocol ? `, ${q.protocol.toUpperCase()}` : ''}` : 'unknown'],
  ];
}

/** @param {number} rate in bit/s */
function bitrate(rate) {
  return rate < 1e6 ? `${Math.round(rate / 1000)} kbit/s` : `${(rate / 1e6).toFixed(1)} Mbit/s`;
}

/**
 * Returns the candidate pair in use. Firefox marks it by "selected".
 * @param {Stat[]} all
 * @param {Map<string, Stat>} byId
 */
function selectedPair(all, byId) {
  const transport = all.find(s => s.type === 'transport' && s.selectedCandidatePairId);
  return byId.get(transport?.selectedCandidatePairId) ?? all.find(s => s.type === 'candidate-pair' && (s.selected || s.nominated && s.state === 'succeeded'));
}

/**
 * @param {Stat | undefined} pair
 * @param {Map<string, Stat>} byId
 * @returns {{route: 'direct' | 'relayed' | '', protocol: string}}
 */
function route(pair, byId) {
  const local = byId.get(pair?.localCandidateId), remote = byId.get(pair?.remoteCandidateId);
  if (!local || !remote) return {route: '', protocol: ''};
  const relayed = local.candidateType === 'relay' || remote.candidateType === 'relay';
  return {route: relayed ? 'relayed' : 'direct', protocol: local.relayProtocol ?? local.protocol ?? ''};
}

/**
 * Returns the largest video of these streams: with simulcast there are several.
 * @param {Stat[]} streams
 * @returns {Resolution | null}
 */
function resolution(streams) {
  const shown = streams.filter(s => s.kind === 'video' && s.frameWidth && s.active !== false);
  const [largest] = shown.sort((a, b) => b.frameWidth - a.frameWidth);
  return largest ? {width: largest.frameWidth, height: largest.frameHeight, framesPerSecond: largest.framesPerSecond ?? 0} : null;
}

/**
 * @param {Stat[]} streams
 * @param {Map<string, Stat>} byId
 */
function codecs(streams, byId) {
  const used = streams.filter(s => (s.packetsReceived ?? s.packetsSent) > 0).map(s => byId.get(s.codecId)?.mimeType?.split('/')[1]);
  return [...new Set(used.filter(Boolean))];
}

/**
 * @param {Stat[]} stats
 * @param {string} member
 */
function sum(stats, member) {
  return stats.reduce((n, s) => n + (Number.isFinite(s[member]) ? s[member] : 0), 0);
}

/**
 * Returns the largest number, or null if there is none.
 * @param {(number | null | undefined)[]} values
 * @returns {number | null}
 */
function max(values) {
  const numbers = /** @type {number[]} */ (values.filter(Number.isFinite));
  return numbers.length ? Math.max(...numbers) : null;
}
