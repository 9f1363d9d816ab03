import assert from 'node:assert/strict';
import test from 'node:test';

import {isPermitted, parseAddress} from '../../page/address.js';

test('an address without parameters requests nothing', () => {
  assert.deepEqual(parseAddress(''), {name: null, call: '', answer: false, say: [], files: false, audio: true, video: true, manual: false});
});

test('names are those that a server knows, and lines are repeated', () => {
  const got = parseAddress('?as=%20Jose%CC%81%20%20M%20&call=bob&answer=1&say=one&say=t%20wo&files=1&audio=0&video=0');
  assert.deepEqual(got, {name: 'José M', call: 'bob', answer: true, say: ['one', 't wo'], files: true, audio: false, video: false, manual: false});
});

test('only 1 and 0 count', () => {
  const got = parseAddress('?as=&answer=true&files=yes&audio=no&video=');
  assert.deepEqual(got, {name: '', call: '', answer: false, say: [], files: false, audio: true, video: true, manual: false});
});

test('the server permits by an attribute of the root element, except after history.back', t => {
  const dataset = {}, navigation = {type: 'navigate'};
  globalThis.document = {documentElement: {dataset}};
  t.after(() => { delete globalThis.document; });
  t.mock.method(performance, 'getEntriesByType', () => [navigation]);
  assert.equal(isPermitted(), false);
  dataset.auto = '';
  for (const [type, want] of [['navigate', true], ['reload', true], ['back_forward', false]]) {
    navigation.type = type;
    assert.equal(isPermitted(), want, type);
  }
});
