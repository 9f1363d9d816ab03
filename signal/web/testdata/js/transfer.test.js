import assert from 'node:assert/strict';
import {randomBytes} from 'node:crypto';
import test from 'node:test';

import {Receiving} from '../../page/receiving.js';
import {Sending} from '../../page/sending.js';
import {parse} from '../../page/transfer.js';

/** FakeChannel is one end of a data channel that is open. */
class FakeChannel {
  readyState = 'open';
  bufferedAmount = 0;
  sent = [];
  other;
  alter = data => data; // what the other end gets of a message; undefined for nothing

  send(data) {
    const copy = this.alter(typeof data === 'string' ? data : new Uint8Array(data).buffer);
    this.sent.push(copy);
    if (copy !== undefined) queueMicrotask(() => this.other.onmessage({data: copy}));
  }

  close() {
    for (const end of [this, this.other]) {
      if (end.readyState === 'closed') continue;
      end.readyState = 'closed';
      setImmediate(() => end.onclose?.());
    }
  }
}

function newChannels() {
  const a = new FakeChannel(), b = new FakeChannel();
  a.other = b;
  b.other = a;
  return [a, b];
}

/** Runs a transfer of a list; returns how each end has ended, and the files that came. */
async function transfer(list, {kept = new Map(), wanted = true, channels = newChannels(), during = () => {}} = {}) {
  const files = [], moved = {sent: 0, received: 0};
  const sending = new Sending(channels[0], list, 'id', {accepted() {}, moved: n => { moved.sent += n; during(moved, channels); }});
  const receiving = new Receiving(channels[1], kept, {
    ask: async () => wanted, accepted() {}, moved: n => { moved.received += n; }, file: ({name}, blob) => files.push({name, blob}),
  });
  const ends = await Promise.all([sending, receiving].map(t => t.run().then(() => 'done', e => `${e.kind} ${e.code}`.trim())));
  return {ends, moved, files: await Promise.all(files.map(async ({name, blob}) => [name, Buffer.from(await blob.arrayBuffer())]))};
}

const file = (name, bytes) => ({name, file: new File([bytes], name, {lastModified: 1})});

test('files and folders are transferred', async () => {
  const big = randomBytes(3_000_001);
  const {ends, files, moved} = await transfer([{name: 'd', dir: true}, file('d/big', big), file('empty', ''), file('text', 'hello')]);
  assert.deepEqual(ends, ['done', 'done']);
  assert.deepEqual(files.map(([name]) => name), ['d/big', 'empty', 'text']);
  assert.ok(files[0][1].equals(big));
  assert.equal(files[1][1].length, 0);
  assert.equal(String(files[2][1]), 'hello');
  assert.deepEqual(moved, {sent: 3_000_006, received: 3_000_006});
});

test('files that are not wanted are not sent', async () => {
  const {ends, files, moved} = await transfer([file('a', 'x')], {wanted: false});
  assert.deepEqual([ends, files, moved.sent], [['refused declined', 'refused declined'], [], 0]);
});

test('a transfer that breaks goes on where it was', async () => {
  const kept = new Map(), bytes = randomBytes(2_000_000), list = [file('a', bytes)];
  const first = await transfer(list, {kept, during: ({sent}, [channel]) => { if (sent > 1_000_000) channel.close(); }});
  assert.deepEqual(first.ends, ['broken', 'broken']);
  const channels = newChannels();
  const second = await transfer(list, {kept, channels});
  assert.deepEqual(second.ends, ['done', 'done']);
  assert.ok(second.files[0][1].equals(bytes));
  const sent = channels[0].sent.reduce((sum, m) => sum + (typeof m === 'string' ? 0 : m.byteLength), 0);
  assert.ok(sent < 1_100_000, `${sent} bytes were sent again`);
  assert.equal(kept.size, 0);
});

test('a file that was changed after it broke is sent from its start', async () => {
  const kept = new Map();
  await transfer([file('a', randomBytes(2_000_000))], {kept, during: ({sent}, [channel]) => { if (sent > 1_000_000) channel.close(); }});
  const other = randomBytes(2_000_000);
  const {ends, files} = await transfer([file('a', other)], {kept});
  assert.deepEqual(ends, ['done', 'done']);
  assert.ok(files[0][1].equals(other));
});

test('a file that changes on its way is thrown away', async () => {
  const channels = newChannels();
  channels[0].alter = data => {
    if (typeof data !== 'string') new Uint8Array(data)[0] ^= 1;
    return data;
  };
  const {ends, files} = await transfer([file('a', 'hello')], {channels});
  assert.deepEqual([ends, files], [['failed hash', 'failed hash'], []]);
});

/** Has a sender send these messages; returns how the receiver ended and what it sent. */
async function receive(...messages) {
  const [ours, theirs] = newChannels();
  const receiving = new Receiving(theirs, new Map(), {ask: async () => true, accepted() {}, moved() {}, file() {}});
  ours.onmessage = () => {};
  const end = receiving.run().then(() => 'done', e => `${e.kind} ${e.code}`.trim());
  for (const m of messages) ours.send(typeof m === 'object' && !(m instanceof Uint8Array) ? JSON.stringify(m) : m);
  await new Promise(resolve => setImmediate(resolve));
  ours.close();
  return end;
}

const offer = {type: 'offer', version: 1, id: 'x', entries: 1, bytes: 5};
const entry = {type: 'entry', name: 'a', size: 5};

test('a hostile sender is refused', async () => {
  assert.equal(await receive('no JSON'), 'failed protocol');
  assert.equal(await receive('null'), 'failed protocol');
  assert.equal(await receive({type: 'entry'}), 'failed protocol');
  assert.equal(await receive({...offer, version: 2}), 'refused version');
  assert.equal(await receive({...offer, entries: 100001}), 'refused limit');
  assert.equal(await receive({...offer, entries: -1}), 'failed protocol');
  assert.equal(await receive({...offer, bytes: 2 ** 60}), 'failed protocol');
  assert.equal(await receive(offer, {...entry, size: 4}), 'failed size');
  assert.equal(await receive(offer, new Uint8Array(5)), 'failed protocol');
  for (const name of ['', '/a', 'a/', '../a', 'a/../b', '.', 'a//b', 'a\u0000b', 'x'.repeat(256), 7, null, 'a/'.repeat(3000) + 'a']) {
    assert.equal(await receive(offer, {...entry, name}), 'refused name', String(name).slice(0, 20));
  }
});

test('a sender that says why it ends is believed', async () => {
  assert.equal(await receive(offer, {type: 'error', code: 'cancelled', reason: 'it was cancelled'}), 'failed cancelled');
});

test('parse takes bounded control messages only', () => {
  assert.deepEqual(parse('{"type":"accept"}'), {type: 'accept'});
  assert.throws(() => parse('x'.repeat(65537)), {code: 'protocol'});
  assert.throws(() => parse(new Uint8Array(3)), {code: 'protocol'});
  assert.throws(() => parse('{"type":"done","file":1.5}'), {code: 'protocol'});
  assert.throws(() => parse(JSON.stringify({type: 'refuse', code: 'c'.repeat(100), reason: 'r'.repeat(1000)})),
    e => e.kind === 'refused' && e.byPeer && e.code.length === 64 && e.message.length === 500);
});
