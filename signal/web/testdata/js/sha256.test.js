import assert from 'node:assert/strict';
import {createHash, randomBytes} from 'node:crypto';
import test from 'node:test';

import {Sha256} from '../../page/sha256.js';

const reference = bytes => createHash('sha256').update(bytes).digest('hex');

test('the examples of FIPS 180-4', () => {
  const hash = text => new Sha256().update(new TextEncoder().encode(text)).hex();
  assert.equal(hash(''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  assert.equal(hash('abc'), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  assert.equal(hash('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'),
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1');
});

test('every length around the block size', () => {
  const bytes = randomBytes(200);
  for (let n = 0; n <= bytes.length; n++) assert.equal(new Sha256().update(bytes.subarray(0, n)).hex(), reference(bytes.subarray(0, n)));
});

test('pieces of every size', () => {
  const bytes = randomBytes(1000);
  for (let size = 1; size < 200; size++) {
    const hash = new Sha256();
    for (let at = 0; at < bytes.length; at += size) hash.update(bytes.subarray(at, at + size));
    assert.equal(hash.hex(), reference(bytes), `pieces of ${size} bytes`);
    assert.equal(hash.length, bytes.length);
  }
});

test('a hash goes on after hex, and apart from its clone', () => {
  const bytes = randomBytes(130);
  const hash = new Sha256().update(bytes.subarray(0, 70));
  const clone = hash.clone();
  assert.equal(hash.hex(), reference(bytes.subarray(0, 70)));
  assert.equal(hash.update(bytes.subarray(70)).hex(), reference(bytes));
  assert.equal(clone.hex(), reference(bytes.subarray(0, 70)));
});
