import assert from 'node:assert/strict';
import test from 'node:test';

import {verificationCode} from '../../page/verify.js';

const description = (...prints) => 'v=0\r\n' + prints.map(p => `a=fingerprint:${p}\r\n`).join('');
const alice = description('sha-256 AA:BB'), bob = description('sha-256 cc:dd');

test('both peers compute the same code', async () => {
  const code = await verificationCode(alice, bob);
  assert.match(code, /^(\d{5} ){5}\d{5}$/);
  assert.equal(await verificationCode(bob, alice), code);
});

test('case, order and repetition of fingerprints do not matter', async () => {
  const code = await verificationCode(description('sha-256 AA:BB', 'sha-1 01'), bob);
  assert.equal(await verificationCode(description('sha-1 01', 'SHA-256 aa:bb', 'sha-256 aa:bb'), bob), code);
});

test('another certificate has another code', async () => {
  assert.notEqual(await verificationCode(alice, description('sha-256 cc:de')), await verificationCode(alice, bob));
});
