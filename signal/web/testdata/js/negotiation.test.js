import assert from 'node:assert/strict';
import test from 'node:test';

import {Peer} from './peers.js';

/** Delivers messages in both directions until there are none. */
async function settle(a, b) {
  for (let n = 0; a.sent.length || b.sent.length; n++) {
    assert.ok(n < 50, 'the negotiation does not end');
    if (a.sent.length) await a.deliver(b);
    if (b.sent.length) await b.deliver(a);
  }
}

function agree(a, b) {
  for (const [x, y] of [[a, b], [b, a]]) {
    assert.equal(x.pc.signalingState, 'stable');
    assert.equal(x.pc.currentRemoteDescription.sdp, y.pc.currentLocalDescription.sdp);
    assert.equal(x.negotiation.outstanding, false);
    assert.equal(x.negotiation.established, true);
  }
}

async function established() {
  const alice = new Peer('alice', 'bob'), bob = new Peer('bob', 'alice');
  await alice.negotiation.offer();
  await settle(alice, bob);
  agree(alice, bob);
  alice.events.length = bob.events.length = 0;
  return {alice, bob};
}

test('an offer and its answer', async () => {
  const {alice, bob} = await established();
  assert.equal(alice.negotiation.isTagged && bob.negotiation.isTagged, true);
});

test('a change, from either end', async () => {
  const {alice, bob} = await established();
  await bob.negotiation.offer();
  await settle(alice, bob);
  await alice.negotiation.offer({restart: true});
  await settle(alice, bob);
  agree(alice, bob);
  assert.deepEqual(alice.events, ['negotiated', 'negotiated']);
  assert.match(bob.pc.currentRemoteDescription.sdp, /ice-ufrag:\d+\.2/);
});

test('offers during a call cross: one stands, and the other is made again', async () => {
  const {alice, bob} = await established();
  await alice.negotiation.offer();
  await bob.negotiation.offer();
  await settle(alice, bob);
  agree(alice, bob);
  assert.ok(alice.events.every(e => e === 'negotiated') && bob.events.every(e => e === 'negotiated'));
});

test('of two browsers the one whose name sorts first keeps its offer, and beside a terminal a browser does', async () => {
  const {alice, bob} = await established();
  await alice.negotiation.offer();
  await bob.negotiation.offer();
  const [ofAlice] = alice.sent, [ofBob] = bob.sent;
  const ofTerminal = structuredClone(ofAlice);
  ofTerminal.offer.parley.browser = false;
  await alice.handle(ofBob);
  assert.deepEqual(alice.sent, [ofAlice], 'alice ignores the offer of bob');
  await bob.handle(ofTerminal);
  assert.deepEqual(bob.sent, [ofBob], 'bob ignores the offer of a terminal');
  await bob.handle(ofAlice);
  assert.equal(bob.sent.at(-1).type, 'answer');
});

test('several requests for an offer while one is out give one more', async () => {
  const {alice, bob} = await established();
  await alice.negotiation.offer();
  for (let i = 0; i < 3; i++) await alice.negotiation.offer();
  assert.equal(alice.sent.length, 1);
  await alice.deliver(bob);
  await bob.deliver(alice);
  assert.equal(alice.sent.length, 1);
  await settle(alice, bob);
  agree(alice, bob);
});

test('a first offer that crosses needs a new connection at one end', async () => {
  const alice = new Peer('alice', 'bob'), bob = new Peer('bob', 'alice');
  await alice.negotiation.offer();
  await bob.negotiation.offer();
  await settle(alice, bob);
  assert.deepEqual([...alice.events, ...bob.events], ['replaced']);
});

test('a duplicate offer gets the same answer, and a duplicate answer is ignored', async () => {
  const {alice, bob} = await established();
  await alice.negotiation.offer();
  const offer = await alice.deliver(bob);
  const [answer] = bob.sent;
  await bob.handle(offer);
  assert.deepEqual(bob.sent, [answer, answer]);
  await settle(alice, bob);
  agree(alice, bob);
  assert.deepEqual(alice.events, ['negotiated']);
});

test('an answer that is lost comes again after the offer is repeated', async () => {
  const {alice, bob} = await established();
  await alice.negotiation.offer();
  await alice.deliver(bob);
  bob.sent.length = 0; // lost
  alice.negotiation.repeatOffer();
  await settle(alice, bob);
  agree(alice, bob);
});

test('an offer that is answered already is stale', async () => {
  const {alice, bob} = await established();
  await alice.negotiation.offer();
  const first = structuredClone(alice.sent[0]);
  await settle(alice, bob);
  await alice.negotiation.offer();
  await settle(alice, bob);
  const before = bob.pc.currentRemoteDescription;
  await bob.handle(first);
  assert.equal(bob.sent.length, 0);
  assert.equal(bob.pc.currentRemoteDescription, before);
});

test('an answer to another offer is ignored', async () => {
  const {alice, bob} = await established();
  await alice.negotiation.offer();
  await alice.deliver(bob);
  const stale = structuredClone(bob.sent[0]);
  stale.answer.parley.number = 1;
  await alice.handle(stale);
  assert.equal(alice.negotiation.outstanding, true);
  await settle(alice, bob);
  agree(alice, bob);
});

test('an offer that the browser cannot apply is rejected, and the call goes on', async () => {
  const {alice, bob} = await established();
  bob.pc.refuses = ({type}) => type === 'offer';
  const before = bob.pc.currentRemoteDescription;
  await alice.negotiation.offer();
  await settle(alice, bob);
  assert.deepEqual(bob.events, ['unchanged', 'offerRejected this browser cannot apply it false']);
  assert.ok(alice.events.includes('offerRejected this browser cannot apply it true'));
  assert.equal(bob.pc.currentRemoteDescription, before);
  assert.equal(alice.pc.signalingState, 'stable');
  bob.pc.refuses = () => false;
  await alice.negotiation.offer();
  await settle(alice, bob);
  agree(alice, bob);
});

test('a first offer that the browser cannot apply ends the call', async () => {
  const alice = new Peer('alice', 'bob'), bob = new Peer('bob', 'alice');
  bob.pc.refuses = () => true;
  await alice.negotiation.offer();
  await assert.rejects(alice.deliver(bob), /cannot apply/);
  await assert.rejects(bob.deliver(alice), /cannot apply/);
});

test('an answer that the browser cannot apply changes nothing, and is reported to the peer', async () => {
  const {alice, bob} = await established();
  let times = 0;
  alice.pc.refuses = ({type}) => type === 'answer' && times++ === 0;
  await alice.negotiation.offer();
  await settle(alice, bob);
  assert.ok(alice.events.includes('answerRejected this browser cannot apply it false'));
  assert.ok(bob.events.includes('answerRejected this browser cannot apply it true'));
  agree(alice, bob);
});

test('an offer of another connection during a call replaces the call', async () => {
  const {bob} = await established();
  const again = new Peer('alice', 'bob');
  await again.negotiation.offer();
  await again.deliver(bob);
  assert.deepEqual(bob.events, ['replaced']);
});

test('a peer without the extension gets an answer without it', async () => {
  const alice = new Peer('alice', 'bob'), bob = new Peer('bob', 'alice');
  await alice.negotiation.offer();
  delete alice.sent[0].offer.parley;
  await alice.deliver(bob);
  assert.equal('parley' in bob.sent[0].answer, false);
  await settle(alice, bob);
  agree(alice, bob);
  assert.equal(bob.negotiation.isTagged, false);
});

test('every order in which messages of crossing offers arrive ends in agreement', async () => {
  for (let order = 0; order < 64; order++) {
    const {alice, bob} = await established();
    await alice.negotiation.offer();
    await bob.negotiation.offer();
    for (let bits = order, n = 0; alice.sent.length || bob.sent.length; bits >>= 1, n++) {
      assert.ok(n < 50, `order ${order} does not end`);
      const [from, to] = bits & 1 && alice.sent.length || !bob.sent.length ? [alice, bob] : [bob, alice];
      await from.deliver(to);
    }
    agree(alice, bob);
  }
});
