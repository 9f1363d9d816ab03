import assert from 'node:assert/strict';
import test from 'node:test';

import {makeLine, maxLine, parseLine} from '../../page/manualline.js';

const offer = /** @type {const} */ ({type: 'offer', id: '7KQ2', name: 'älice', sdp: 'v=0\r\n' + 'a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n'.repeat(20)});

test('a line is read as people paste it', async () => {
  const line = await makeLine(offer);
  assert.match(line, /^parley-offer-1\.[\w-]+$/);
  const wrapped = line.replace(/.{20}/g, part => part + '\r\n\t \u200b\u00a0');
  for (const pasted of [line, line + '\n', wrapped, `take this: ${line} (bye)`, '\ufeff' + line, line.slice(0, 100) + '\n' + line]) {
    assert.deepEqual(await parseLine(pasted), offer);
  }
});

test('a line of the terminal is read', async () => {
  // Of package manual, for {offer, "id", "name", "v=0\r\n"}.
  const line = 'parley-offer-1.ACiqVspMUbICETpKeYm5qUpWEEpHqTilQMlKqczWIKYoJk-pFhAAAP__NdIoyA';
  assert.deepEqual(await parseLine(line), {type: 'offer', id: 'id', name: 'name', sdp: 'v=0\r\n'});
});

test('every part of a line is incomplete', async () => {
  const line = await makeLine(offer);
  for (let n = 'parley-offer-1.'.length; n < line.length; n++) {
    await assert.rejects(parseLine(line.slice(0, n)), new RegExp(`incomplete: it has ${n} of `));
  }
});

test('what is no line is rejected', async () => {
  const line = await makeLine(offer);
  for (const [pasted, want] of /** @type {[string, RegExp][]} */ ([
    ['', /no line of parley/], ['hello', /no line of parley/], ['x'.repeat(maxLine + 1), /longer than/],
    [line.slice(0, 60) + 'AB' + line.slice(60), /damaged/], [line.replace('-1.', '-2.'), /version 2/],
    [await makeLine({...offer, id: ''}), /invalid/], [await makeLine({...offer, sdp: ''}), /invalid/],
    [await makeLine({...offer, sdp: 'a'.repeat(300000)}), /too long/],
  ])) {
    await assert.rejects(parseLine(pasted), want);
  }
});
