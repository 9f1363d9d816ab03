import assert from 'node:assert/strict';
import test from 'node:test';

import {isFinal} from '../../page/connection.js';
import {explainClose, explainRefusal, isFinalRefusal} from '../../page/remedies.js';

test('close codes are final as signal/doc.go has them', () => {
  for (const code of [1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409]) assert.ok(isFinal(code), String(code));
  for (const code of [1000, 1001, 1006, 1012, 1013, 4408, 4429, 4503]) assert.ok(!isFinal(code), String(code));
});

test('a final close comes with its remedy', () => {
  assert.match(explainClose(4401, ''), /has expired\. Open a new link/);
  assert.match(explainClose(4403, 'x'), /not allowed/);
  assert.match(explainClose(4409, ''), /another tab or on another device/);
  assert.equal(explainClose(1002, 'bad frame'), 'The signaling server ended the session: bad frame. Sign in again.');
  assert.equal(explainClose(1003, ''), 'The signaling server ended the session: code 1003. Sign in again.');
});

test('refusals by code are final, and those of an original server are not', () => {
  for (const code of ['taken', 'unauthorized', 'bad_name', 'bad_message']) assert.ok(isFinalRefusal({code}), code);
  for (const code of ['throttled', 'unavailable', 'overloaded', 'expired', '', 5, null, undefined]) assert.ok(!isFinalRefusal({code}), String(code));
});

test('a refusal says what helps', () => {
  assert.equal(explainRefusal({}, 'bob'), 'The name bob is taken. Choose another one.');
  assert.equal(explainRefusal({code: 'taken', message: 'bob is signed in already'}, 'bob'), 'The name bob is taken. Choose another one.');
  assert.equal(explainRefusal({code: 'bad_name', message: 'the name is empty'}, ''), 'The name is empty. Choose another one.');
  assert.equal(explainRefusal({code: 'unauthorized', message: 'a token is needed'}, 'bob'), 'A token is needed. Open a new link to sign in.');
  assert.equal(explainRefusal({code: 'new', message: 'not today'}, 'bob'), 'Not today');
  assert.equal(explainRefusal({code: 7, message: {}}, 'bob'), 'The name bob is taken. Choose another one.');
});
