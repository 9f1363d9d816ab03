import assert from 'node:assert/strict';
import test from 'node:test';

import {Candidates} from '../../page/candidates.js';

const candidate = (n, ufrag = 'aaaa') => ({candidate: `candidate:${n} 1 udp 1 192.0.2.1 9 typ host`, usernameFragment: ufrag});
const description = {sdp: 'v=0\r\na=ice-ufrag:aaaa\r\n'};

/** Returns Candidates of a connection that keeps what is added to it, and what they send. */
function newCandidates() {
  const pc = {remoteDescription: null, added: [], async addIceCandidate(init) { this.added.push(init); }};
  const sent = [];
  return {pc, sent, candidates: new Candidates(pc, c => sent.push(c))};
}

test('those of the peer wait for its description', async () => {
  const {pc, candidates} = newCandidates();
  await candidates.receive(candidate(1));
  await candidates.receive(candidate(2, 'other'));
  assert.deepEqual(pc.added, []);
  pc.remoteDescription = description;
  await candidates.flush();
  await candidates.receive(candidate(3));
  assert.deepEqual(pc.added, [candidate(1), candidate(3)]);
  await candidates.flush();
  assert.equal(pc.added.length, 2);
});

test('what is no candidate is dropped', async () => {
  const {pc, candidates} = newCandidates();
  pc.remoteDescription = description;
  for (const init of [null, undefined, '', 'text', {}, {candidate: 7}]) await candidates.receive(init);
  assert.deepEqual(pc.added, []);
});

test('one that the browser refuses does no harm', async () => {
  const {pc, candidates} = newCandidates();
  pc.remoteDescription = description;
  pc.addIceCandidate = async () => { throw new Error('refused'); };
  await candidates.receive(candidate(1));
});

test('ours wait for our description', () => {
  const {pc, sent, candidates} = newCandidates();
  candidates.hold();
  pc.onicecandidate({candidate: 'a'});
  pc.onicecandidate({candidate: null});
  candidates.hold();
  assert.deepEqual(sent, []);
  candidates.release();
  pc.onicecandidate({candidate: 'b'});
  assert.deepEqual(sent, ['a', 'b']);
});
