import assert from 'node:assert/strict';
import test from 'node:test';

import {renewalIn} from '../../page/ice.js';

test('renewalIn is half of the time, no less than a second, and fits a timer', () => {
  assert.equal(renewalIn(60000), 30000);
  assert.equal(renewalIn(1), 1000);
  assert.equal(renewalIn(1e15), 2 ** 31 - 1);
});

test('renewalIn is 0 without a time', () => {
  for (const value of [0, -1, NaN, Infinity, undefined, null, '60000', {}]) assert.equal(renewalIn(value), 0, String(value));
});
