import assert from 'node:assert/strict';
import test from 'node:test';

import {TextChannel} from '../../page/channel.js';

const newChannel = (label, readyState = 'connecting') => ({
  label, readyState, sent: [], send(text) { this.sent.push(text); }, open() { this.readyState = 'open'; this.onopen(); },
});

function newText(t) {
  t.mock.timers.enable({apis: ['setTimeout']});
  const events = [];
  const note = name => (...args) => events.push([name, ...args]);
  return {text: new TextChannel({open: note('open'), text: note('text'), binary: note('binary'), sent: note('sent'), unsent: note('unsent')}), events};
}

test('the caller sends on its own channel, if the peer opens none', t => {
  const {text, events} = newText(t);
  const own = newChannel('channel1');
  text.open({createDataChannel: () => own});
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
  text.open({createDataChannel: () => own});
  own.open();
  t.mock.timers.tick(300);
  own.onopen();
  text.say('one');
  assert.deepEqual(own.sent, ['one']);
});

test('an original text page has its text on the channel that it opens', t => {
  const {text} = newText(t);
  const own = newChannel('channel1'), theirs = newChannel('channel1', 'open');
  text.open({createDataChannel: () => own});
  own.open();
  text.say('one');
  text.take(theirs);
  t.mock.timers.tick(300);
  text.say('two');
  assert.deepEqual([own.sent, theirs.sent], [[], ['one', 'two']]);
});

test('the callee sends on the channel of the caller, whatever its label', t => {
  const {text} = newText(t);
  const theirs = newChannel('chat');
  text.take(theirs);
  text.say('one');
  theirs.open();
  theirs.onopen();
  assert.deepEqual(theirs.sent, ['one']);
});

test('what comes is reported, until the call is over', t => {
  const {text, events} = newText(t);
  const theirs = newChannel('channel1', 'open');
  text.take(theirs);
  theirs.onmessage({data: 'hello'});
  theirs.onmessage({data: new ArrayBuffer(7)});
  text.close();
  theirs.onmessage({data: 'late'});
  assert.deepEqual(events, [['open'], ['text', 'hello'], ['binary', 7]]);
});

test('text that the channel refuses is reported', t => {
  const {text, events} = newText(t);
  const error = new TypeError('too large');
  text.take({...newChannel('channel1', 'open'), send() { throw error; }});
  text.say('one');
  assert.deepEqual(events, [['open'], ['unsent', 'one', error]]);
});

test('text that was never sent comes back', t => {
  const {text} = newText(t);
  text.say('one');
  assert.deepEqual(text.close(), ['one']);
});
