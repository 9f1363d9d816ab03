import assert from 'node:assert/strict';
import test from 'node:test';

import {newExtension, parseExtension} from '../../page/extension.js';

test('an extension of an offer is read back', () => {
  const sent = newExtension(3, {processed: 2, answerRejected: 'no codec'});
  assert.deepEqual(sent, {version: 1, number: 3, browser: true, processed: 2, answerRejected: 'no codec'});
  assert.deepEqual(parseExtension(sent, 'offer'), {number: 3, processed: 2, browser: true, answerRejected: 'no codec'});
});

test('an extension of an answer is read back', () => {
  const sent = newExtension(3, {rejected: 'no codec'});
  assert.deepEqual(sent, {version: 1, number: 3, browser: true, rejected: 'no codec'});
  assert.deepEqual(parseExtension(sent, 'answer'), {number: 3, processed: 0, browser: true, rejected: 'no codec'});
});

test('an extension without reasons has none', () => {
  assert.deepEqual(newExtension(1, {}), {version: 1, number: 1, browser: true});
  assert.deepEqual(parseExtension({version: 1, number: 1}, 'answer'), {number: 1, processed: 0, browser: false, rejected: ''});
});

test('a reason is printable, bounded and not empty', () => {
  const reason = text => parseExtension({version: 1, number: 1, rejected: text}, 'answer').rejected;
  assert.equal(reason(' no\u0000 \u202ecodec\n'), 'no? ?codec?');
  assert.equal(reason('   '), 'no reason given');
  assert.equal(reason('x'.repeat(300)), 'x'.repeat(200));
});

test('a malformed extension is none', () => {
  for (const parley of [
    undefined, null, 'text', 7, [], {}, {version: 2, number: 1}, {version: 1}, {version: 1, number: 0}, {version: 1, number: -1},
    {version: 1, number: 1.5}, {version: 1, number: '1'}, {version: 1, number: 2 ** 60}, {version: 1, number: 1, browser: 1},
    {version: 1, number: 1, processed: -1}, {version: 1, number: 1, processed: '1'}, {version: 1, number: 1, answerRejected: 7},
  ]) assert.equal(parseExtension(parley, 'offer'), null, JSON.stringify(parley));
  assert.equal(parseExtension({version: 1, number: 1, rejected: {}}, 'answer'), null);
});
