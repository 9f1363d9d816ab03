import assert from 'node:assert/strict';
import test from 'node:test';

import {CallNumbers, Sequence} from '../../page/sequence.js';

test('messages are numbered from 1, and carry the number of the last one received', () => {
  const s = new Sequence();
  assert.equal(s.next({type: 'offer', name: 'bob'}), '{"type":"offer","name":"bob","seq":1,"ack":0}');
  assert.equal(s.receive(1, 1), 'new');
  assert.equal(s.next({type: 'leave'}), '{"type":"leave","seq":2,"ack":1}');
});

test('a message is received once, and none is left out', () => {
  const s = new Sequence();
  assert.equal(s.receive(1, 0), 'new');
  assert.equal(s.receive(1, 0), 'before');
  assert.equal(s.receive(3, 0), 'missing');
  assert.equal(s.receive(undefined, undefined), 'new'); // without a number
  assert.equal(s.received, 1);
  for (const seq of ['2', -1, 1.5, NaN, {}]) assert.equal(s.receive(seq, seq), 'new', String(seq));
  assert.equal(s.received, 1);
});

test('what the server has not received is sent again, once', () => {
  const s = new Sequence(), frames = [1, 2, 3, 4].map(n => s.next({n}));
  s.receive(undefined, 1);
  assert.equal(s.unacked, 3);
  assert.deepEqual(s.replay(2), frames.slice(2));
  assert.deepEqual(s.replay(4), []);
  assert.equal(s.unacked, 0);
});

test('a server that has lost count resumes nothing', () => {
  const s = new Sequence();
  for (let n = 0; n < 4; n++) s.next({n});
  s.receive(undefined, 3);
  for (const ack of [5, -1, '3', null, 1.5]) assert.equal(s.replay(ack), null, String(ack));
  assert.equal(s.replay(3)?.length, 1);
  assert.deepEqual(new Sequence().replay(undefined), []); // 0 may be left out
});

test('the last 64 messages, and 128 Ki characters, are kept for another server', () => {
  const s = new Sequence(), frames = [];
  for (let n = 1; n <= 70; n++) frames.push(s.next({n}));
  s.receive(undefined, 69);
  assert.deepEqual([s.oldest, s.acknowledged, s.sent], [6, 69, 70]);
  assert.equal(s.replay(4), null);
  assert.deepEqual(s.replay(60), frames.slice(60));
  assert.deepEqual([s.oldest, s.acknowledged, s.unacked], [6, 60, 10]);
  s.next({text: 'x'.repeat(130 << 10)});
  s.receive(undefined, 71);
  assert.equal(s.oldest, 72);
});

test('a session knows the numbers of its calls', () => {
  const c = new CallNumbers();
  const number = (type, name, n) => c.noteSent({type, name}, n);
  const hear = (type, name, n, code) => c.noteReceived({type, name, number: n, code});
  number('candidate', 'nobody', 1);
  number('offer', 'bob', 2);
  number('candidate', 'bob', 3);
  hear('answer', 'bob', 7);
  hear('offer', 'carol', 9);
  hear('error', 'carol', undefined, 'queue_full');
  hear('offer', 'dave', 1);
  hear('leave', 'dave');
  hear('offer', 'eve', 1);
  hear('error', 'eve', undefined, 'absent');
  const bob = {name: 'bob', caller: true, first: 2, last: 3, received: 7}, carol = {name: 'carol', caller: undefined, first: 0, last: 0, received: 9};
  assert.deepEqual(c.list(3), [bob, carol]);
  number('leave', 'bob', 4);
  number('candidate', 'bob', 5);
  hear('candidate', 'bob', 8);
  assert.deepEqual(c.list(3), [{...bob, last: 4}, carol]);
  assert.deepEqual(c.list(4), [carol]);
});

test('sixteen received messages are acknowledged, unless a message has carried the number', () => {
  const s = new Sequence();
  for (let n = 1; n <= 15; n++) s.receive(n, 0);
  assert.equal(s.dueAck(), null);
  s.receive(16, 0);
  assert.equal(s.dueAck(), '{"type":"ack","ack":16}');
  assert.equal(s.dueAck(), null);
  for (let n = 17; n <= 31; n++) s.receive(n, 0);
  s.next({});
  s.receive(32, 0);
  assert.equal(s.dueAck(), null);
});
