import assert from 'node:assert/strict';
import test from 'node:test';

import {Receiving} from '../../page/receiving.js';

/** A channel of a peer that sends what a test gives it. */
class Channel {
  readyState = 'open';
  bufferedAmount = 0;
  /** @type {any[]} */
  sent = [];
  /** @type {(e: any) => void} */
  onmessage = () => {};

  send(/** @type {string} */ data) { this.sent.push(JSON.parse(data)); }
  close() { this.readyState = 'closed'; }
  deliver(/** @type {object} */ message) { this.onmessage({data: JSON.stringify(message)}); }
}

/** Starts to receive; asked resolves to the offer of which the user is asked. */
function receive(/** @type {Promise<boolean>} */ answer) {
  const channel = new Channel();
  /** @type {any} */
  let asked;
  const offered = new Promise(resolve => { asked = resolve; });
  const receiving = new Receiving(/** @type {any} */ (channel), new Map(), {
    ask: offer => { asked({...offer, read: offer.entries.length}); return answer; }, accepted() {}, moved() {}, file() {},
  });
  return {channel, offered, done: receiving.run()};
}

const longName = (/** @type {number} */ i) => `${i}/`.padEnd(4000, 'n/').slice(0, -1) + 'x';

test('the user is asked before more than 1 MiB of names is read', async () => {
  const {channel, offered, done} = receive(Promise.resolve(false));
  channel.deliver({type: 'offer', version: 1, id: 'x', entries: 10000, bytes: 0});
  for (let i = 0; i < 300; i++) channel.deliver({type: 'entry', name: longName(i), size: 0});
  const offer = await offered;
  assert.equal(offer.count, 10000);
  assert.ok(offer.read <= 1 + 2 ** 20 / 4000, `${offer.read} names were read`);
  await assert.rejects(done, {kind: 'refused', code: 'declined'});
  assert.deepEqual(channel.sent.map(m => m.type), ['refuse']);
});

test('the names after the first 1 MiB are read once the user has agreed', async () => {
  const {channel, offered, done} = receive(Promise.resolve(true));
  channel.deliver({type: 'offer', version: 1, id: 'x', entries: 600, bytes: 600});
  for (let i = 0; i < 600; i++) channel.deliver({type: 'entry', name: longName(i), size: 1});
  assert.ok((await offered).read < 300);
  while (!channel.sent.length) await new Promise(resolve => setTimeout(resolve));
  assert.equal(channel.sent[0].type, 'accept');
  channel.deliver({type: 'error', code: 'cancelled', reason: 'enough'});
  await assert.rejects(done, {kind: 'failed', byPeer: true});
});

test('a flood before the answer ends the transfer', async () => {
  const {channel, offered, done} = receive(new Promise(() => {}));
  channel.deliver({type: 'offer', version: 1, id: 'x', entries: 10000, bytes: 0});
  for (let i = 0; i < 6000; i++) channel.deliver({type: 'entry', name: longName(i), size: 0});
  await assert.rejects(done, {kind: 'refused', code: 'limit'});
  assert.ok((await offered).read < 300);
});

test('more files than the page can show are refused', async () => {
  const {channel, done} = receive(Promise.resolve(true));
  channel.deliver({type: 'offer', version: 1, id: 'x', entries: 10001, bytes: 0});
  await assert.rejects(done, {kind: 'refused', code: 'limit', message: 'at most 10000 files are taken'});
});

test('a sender that gives up while the user is asked ends the transfer', async () => {
  const {channel, offered, done} = receive(new Promise(() => {}));
  channel.deliver({type: 'offer', version: 1, id: 'x', entries: 1, bytes: 0});
  channel.deliver({type: 'entry', name: 'a', size: 0});
  assert.equal((await offered).read, 1);
  channel.deliver({type: 'error', code: 'cancelled', reason: 'no'});
  await assert.rejects(done, {kind: 'failed', byPeer: true});
});
