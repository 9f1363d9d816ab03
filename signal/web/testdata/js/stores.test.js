import assert from 'node:assert/strict';
import test from 'node:test';

import {CallRecord} from '../../page/callrecord.js';
import {ChatStore} from '../../page/chatstore.js';
import {CallHistory, describeCall} from '../../page/history.js';
import {Store} from '../../page/storage.js';

/** A storage area as browsers have it. */
class Area {
  items = new Map();
  getItem(key) { return this.items.get(key) ?? null; }
  setItem(key, value) { this.items.set(key, value); }
  removeItem(key) { this.items.delete(key); }
}

const memory = (area = new Area()) => new Store(() => area, 'k');
const call = (name, more = {}) => ({name, at: 1, outgoing: true, answered: true, seconds: 5, ...more});
const line = (text, more = {}) => ({name: 'bob', text, mine: false, ...more});

test('a store keeps a value, and removes it', () => {
  const area = new Area(), store = memory(area);
  assert.equal(store.read(), null);
  store.write({a: [1, 'x']});
  assert.deepEqual(store.read(), {a: [1, 'x']});
  store.write(null);
  assert.equal(area.items.size, 0);
});

test('a store that is forbidden, full or holds no JSON has no value', () => {
  const forbidden = new Store(() => { throw new Error('SecurityError'); }, 'k');
  forbidden.write(1);
  assert.equal(forbidden.read(), null);
  const area = new Area();
  area.setItem('k', '{');
  assert.equal(memory(area).read(), null);
  area.setItem = () => { throw new Error('QuotaExceededError'); };
  memory(area).write(1);
});

test('the history has the newest call first, and fifty at most', () => {
  const history = new CallHistory(memory());
  for (let i = 0; i < 60; i++) history.add(call(`peer ${i % 7}`, {at: i}));
  assert.equal(history.entries.length, 50);
  assert.equal(history.entries[0].at, 59);
  assert.equal(history.entries[49].at, 10);
  assert.deepEqual(history.names, ['peer 3', 'peer 2', 'peer 1', 'peer 0', 'peer 6', 'peer 5', 'peer 4']);
  history.clear();
  assert.deepEqual(history.entries, []);
});

test('the history drops what is no entry', () => {
  const store = memory(), history = new CallHistory(store);
  for (const value of [7, 'x', {}, null]) {
    store.write(value);
    assert.deepEqual(history.entries, []);
  }
  store.write([null, 1, {}, call(''), call('x'.repeat(257)), call('bob', {at: '1'}), call('bob', {seconds: -1}), call('bob', {outgoing: 1}), call('eve')]);
  assert.deepEqual(history.entries, [call('eve')]);
  history.add(call(7));
  assert.deepEqual(history.names, ['eve']);
});

test('a call is described', () => {
  const clock = seconds => `${seconds} s`;
  assert.equal(describeCall(call('bob'), clock), 'outgoing, 5 s');
  assert.equal(describeCall(call('bob', {outgoing: false}), clock), 'incoming, 5 s');
  assert.equal(describeCall(call('bob', {answered: false}), clock), 'outgoing, not answered');
  assert.equal(describeCall(call('bob', {answered: false, outgoing: false}), clock), 'missed');
});

test('messages are kept for their user alone', () => {
  const store = memory(), chat = new ChatStore(store);
  assert.deepEqual(chat.open('alice'), []);
  chat.add(line('one'));
  chat.add(line('two', {name: 'alice', mine: true}));
  chat.flush();
  assert.deepEqual(new ChatStore(store).open('alice'), [line('one'), line('two', {name: 'alice', mine: true})]);
  assert.deepEqual(new ChatStore(store).open('mallory'), []);
  chat.clear();
  chat.flush();
  assert.equal(store.read(), null);
});

test('messages are bounded in number and size', () => {
  const store = memory(), chat = new ChatStore(store);
  chat.open('alice');
  for (let i = 0; i < 300; i++) chat.add(line(String(i)));
  chat.flush();
  let kept = new ChatStore(store).open('alice');
  assert.equal(kept.length, 200);
  assert.equal(kept[0].text, '100');
  for (let i = 0; i < 5; i++) chat.add(line(String(i).repeat(40000)));
  chat.add(line('y'.repeat(200000)));
  chat.flush();
  kept = new ChatStore(store).open('alice');
  assert.deepEqual(kept.map(l => l.text.length), [100000]);
});

test('stored messages that are none are dropped', () => {
  const store = memory();
  for (const lines of [7, null, [null, {}, line(7), line('x', {mine: 1}), line('x'.repeat(100001)), line('x', {name: 'x'.repeat(257)})]]) {
    store.write({owner: 'alice', lines});
    assert.deepEqual(new ChatStore(store).open('alice'), []);
  }
});

test('a call is recorded when it ends', () => {
  const record = new CallRecord(), at = 1000;
  assert.equal(record.enter('idle', '', at), null);
  assert.equal(record.enter('calling', 'bob', at), null);
  assert.equal(record.enter('talking', 'bob', at + 2000), null);
  assert.equal(record.enter('answering', 'bob', at + 3000), null); // on a new connection
  assert.equal(record.enter('talking', 'bob', at + 4000), null);
  assert.deepEqual(record.enter('idle', '', at + 9000), {name: 'bob', at, outgoing: true, answered: true, seconds: 7});
  assert.equal(record.enter('idle', '', at), null);
});

test('a call that is not answered, and one that another follows at once, are recorded', () => {
  const record = new CallRecord();
  record.enter('ringing', 'eve', 5);
  assert.deepEqual(record.enter('calling', 'bob', 6), {name: 'eve', at: 5, outgoing: false, answered: false, seconds: 0});
  assert.deepEqual(record.enter('idle', '', 7), {name: 'bob', at: 6, outgoing: true, answered: false, seconds: 0});
});
