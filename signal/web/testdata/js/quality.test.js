import assert from 'node:assert/strict';
import test from 'node:test';

import {barsText, countBars, newQuality, newSample, qualityRows} from '../../page/quality.js';

/** The stats of a call in Chromium, as far as they matter here. */
function report({lost = 0, received = 100, bytes = 1000, roundTrip = 0.05, fractionLost = 0, type = 'host'} = {}) {
  return [
    {id: 'T', type: 'transport', selectedCandidatePairId: 'P'},
    {id: 'P', type: 'candidate-pair', currentRoundTripTime: roundTrip, localCandidateId: 'L', remoteCandidateId: 'R', nominated: true, state: 'succeeded'},
    {id: 'Q', type: 'candidate-pair', currentRoundTripTime: 9, localCandidateId: 'L', remoteCandidateId: 'R', nominated: true, state: 'succeeded'},
    {id: 'L', type: 'local-candidate', candidateType: type, protocol: 'udp'},
    {id: 'R', type: 'remote-candidate', candidateType: 'host', protocol: 'udp'},
    {id: 'V', type: 'inbound-rtp', kind: 'video', codecId: 'C', packetsReceived: received, packetsLost: lost, bytesReceived: bytes, frameWidth: 1280, frameHeight: 720, framesPerSecond: 29.7},
    {id: 'A', type: 'inbound-rtp', kind: 'audio', codecId: 'O', packetsReceived: received, packetsLost: 0, bytesReceived: bytes},
    {id: 'S', type: 'outbound-rtp', kind: 'video', codecId: 'C', packetsSent: 5, bytesSent: bytes, frameWidth: 320, frameHeight: 180, active: true},
    {id: 'B', type: 'outbound-rtp', kind: 'video', codecId: 'C', packetsSent: 5, bytesSent: 0, frameWidth: 1920, frameHeight: 1080, active: false},
    {id: 'I', type: 'remote-inbound-rtp', kind: 'video', fractionLost, roundTripTime: 0.07},
    {id: 'C', type: 'codec', mimeType: 'video/VP8'},
    {id: 'O', type: 'codec', mimeType: 'audio/opus'},
  ];
}

test('a sample has the selected pair, the sums and the largest active video', () => {
  const s = newSample(report({lost: 3, bytes: 500, type: 'relay'}), 7);
  assert.deepEqual(s, {
    at: 7, roundTrip: 50, received: 200, lost: 3, lostByPeer: 0, bytesIn: 1000, bytesOut: 500,
    videoIn: {width: 1280, height: 720, framesPerSecond: 29.7}, videoOut: {width: 320, height: 180, framesPerSecond: 0},
    codecs: ['VP8', 'opus'], route: 'relayed', protocol: 'udp',
  });
});

test('a sample without a transport uses the pair that Firefox marks, and the round trip of RTCP', () => {
  const stats = report().filter(s => s.type !== 'transport' && s.id !== 'Q');
  for (const s of stats) if (s.id === 'P') { delete s.currentRoundTripTime; s.selected = true; }
  const s = newSample(stats, 0);
  assert.equal(s.roundTrip, 70);
  assert.equal(s.route, 'direct');
});

test('an empty report gives an unknown quality', () => {
  const s = newSample([], 0), q = newQuality(s, s);
  assert.equal(q.bars, 0);
  assert.deepEqual(Object.fromEntries(qualityRows(q))['Round trip'], 'unknown');
});

test('quality is what lies between two samples', () => {
  const before = newSample(report({received: 100, bytes: 1000}), 1000);
  const q = newQuality(newSample(report({received: 148, lost: 4, bytes: 126000, fractionLost: 0.1}), 3000), before);
  assert.equal(q.lossIn, 4);
  assert.equal(q.lossOut, 10);
  assert.equal(q.rateIn, 1e6);
  assert.equal(q.rateOut, 5e5);
  assert.equal(q.bars, 1);
});

test('counters that go back, as after a new connection, give no negative numbers', () => {
  const q = newQuality(newSample(report({received: 1, lost: 0, bytes: 1}), 1), newSample(report({received: 900, lost: 9, bytes: 9000}), 0));
  assert.deepEqual([q.lossIn, q.rateIn, q.rateOut], [null, 0, 0]);
});

test('bars fall with the round trip and with the worst loss', () => {
  for (const [roundTrip, losses, bars] of [
    [20, [0, 0], 4], [200, [1, 0], 4], [201, [0, 0], 3], [401, [0, 0], 2], [801, [0, 0], 1],
    [20, [1.1, 0], 3], [20, [0, 3.1], 2], [20, [9, null], 1], [null, [0, null], 4], [null, [null, null], 0],
  ]) assert.equal(countBars(roundTrip, ...losses), bars, `${roundTrip} ms, ${losses} %`);
  assert.equal(barsText(4), 'good');
  assert.equal(barsText(0), 'unknown');
});

test('the table has units', () => {
  const q = newQuality(newSample(report({received: 148, lost: 4, bytes: 626000}), 3000), newSample(report({bytes: 1000}), 1000));
  assert.deepEqual(qualityRows(q), [
    ['Round trip', '50 ms'], ['Loss, received', '4.0 %'], ['Loss, sent', '0 %'], ['Bitrate, received', '5.0 Mbit/s'], ['Bitrate, sent', '2.5 Mbit/s'],
    ['Video, received', '1280×720, 30 fps'], ['Video, sent', '320×180'], ['Codecs', 'VP8, opus'], ['Path', 'direct, UDP'],
  ]);
});
