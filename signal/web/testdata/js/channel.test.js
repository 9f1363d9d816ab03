import assert from 'node:assert/strict';
import test from 'node:test';

import {TextChannel} from '../../page/channel.js';

const newChannel = (label, readyState = 'connecting') => ({
  label, readyState, sent: [], send(text) { this.sent.push(text); }, open() { this.readyState = 'open'; this.onopen(); },
});

const newConnection = own => ({createDataChannel: () => own, getStats: () => Promise.resolve(new Map())});

/** Resolves once all that waits for a resolved promise is done. */
const settled = () => new Promise(resolve => setImmediate(resolve));

function newText(t) {
  t.mock.timers.enable({apis: ['setTimeout']});
  const events = [];
  const note = name => (...args) => events.push([name, ...args]);
  return {text: new TextChannel({open: note('open'), text: note('text'), binary: note('binary'), sent: note('sent'), unsent: note('unsent')}), events};
}

test('the caller sends on its own channel, if the peer opens none', t => {
  const {text, events} = newText(t);
  const own = newChannel('channel1');
  text.open(newConnection(own));
  text.say('one');
  own.open();
  assert.deepEqual(own.sent, []);
  t.mock.timers.tick(300);
  text.say('two');
  assert.deepEqual(own.sent, ['one', 'two']);
  assert.deepEqual(events, [['open'], ['sent', 'one'], ['sent', 'two']]);
});

test('a channel that reports twice that it is open does not wait twice', t => {
  const {text} = newText(t);
  const own = newChannel('channel1');
  text.open(newConnection(own));
  own.open();
  t.mock.timers.tick(300);
  own.onopen();
  text.say('one');
  assert.deepEqual(own.sent, ['one']);
});

test('an original text page has its text on the channel that it opens', async t => {
  const {text} = newText(t);
  const own = newChannel('channel1'), theirs = newChannel('channel1', 'open');
  text.open(newConnection(own));
  own.open();
  text.say('one');
  text.take(theirs, newConnection());
  t.mock.timers.tick(300);
  text.say('two');
  await settled();
  assert.deepEqual([own.sent, theirs.sent], [[], ['one', 'two']]);
});

test('the callee sends on the channel of the caller, whatever its label', async t => {
  const {text} = newText(t);
  const theirs = newChannel('chat');
  text.take(theirs, newConnection());
  text.say('one');
  theirs.open();
  theirs.onopen();
  await settled();
  assert.deepEqual(theirs.sent, ['one']);
});

test('what comes is reported, until the call is over', t => {
  const {text, events} = newText(t);
  const theirs = newChannel('channel1', 'open');
  text.take(theirs, newConnection());
  theirs.onmessage({data: 'hello'});
  theirs.onmessage({data: new ArrayBuffer(7)});
  text.close();
  theirs.onmessage({data: 'late'});
  assert.deepEqual(events, [['open'], ['text', 'hello'], ['binary', 7]]);
});

test('text that the channel refuses is reported', async t => {
  const {text, events} = newText(t);
  const error = new TypeError('too large');
  text.take({...newChannel('channel1', 'open'), send() { throw error; }}, newConnection());
  text.say('one');
  await settled();
  assert.deepEqual(events, [['open'], ['unsent', 'one', error]]);
});

test('text that was never sent comes back', t => {
  const {text} = newText(t);
  text.say('one');
  assert.deepEqual(text.close(), ['one']);
});

// A channel of the peer as Chromium reports it: open, though what is sent on it is dropped for a moment.
function newReported() {
  const channel = newChannel('channel1', 'open'), listeners = {};
  let open = () => {};
  const stats = new Promise(resolve => { open = () => resolve(new Map()); });
  return {
    channel: Object.assign(channel, {addEventListener(event, listener) { listeners[event] = listener; }}),
    pc: {getStats: () => stats},
    open,
    /** The report is corrected, and corrected again. */
    correct() { channel.readyState = 'connecting'; },
    fire(event) { channel.readyState = event === 'open' ? 'open' : 'closed'; listeners[event](); },
  };
}

test('nothing is sent on a channel of the peer before the browser has opened it', async t => {
  const {text, events} = newText(t), {channel, pc, open} = newReported();
  text.take(channel, pc);
  text.say('one');
  await settled();
  assert.deepEqual([channel.sent, events], [[], [['open']]]);
  open();
  await settled();
  assert.deepEqual(channel.sent, ['one']);
});

test('nor while the browser reports it as connecting after that', async t => {
  const {text} = newText(t), {channel, pc, open, correct, fire} = newReported();
  text.take(channel, pc);
  text.say('one');
  correct();
  open();
  await settled();
  assert.deepEqual(channel.sent, []);
  fire('open');
  await settled();
  assert.deepEqual(channel.sent, ['one']);
});

test('a channel of the peer that closes before it can be sent on does not hold up the text', async t => {
  const {text} = newText(t), {channel, pc, open, correct, fire} = newReported();
  const own = newChannel('channel1');
  text.open(newConnection(own));
  own.open();
  text.take(channel, pc);
  text.say('one');
  correct();
  open();
  t.mock.timers.tick(300);
  await settled();
  assert.deepEqual(own.sent, []);
  fire('close');
  await settled();
  assert.deepEqual([channel.sent, own.sent], [[], ['one']]);
});

test('a connection that gives no statistics any more does not hold up the text either', async t => {
  const {text} = newText(t), theirs = newChannel('channel1', 'open');
  text.take(theirs, {getStats: () => Promise.reject(new Error('closed'))});
  text.say('one');
  await settled();
  assert.deepEqual(theirs.sent, ['one']);
});
