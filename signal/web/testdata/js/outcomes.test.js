import assert from 'node:assert/strict';
import test from 'node:test';

import {failure, remark} from '../../page/outcomes.js';

const ended = (reason, phase, error = null) => ({reason, peer: 'bob', phase, error});

test('the conversation has a remark if a peer has ended the call, or we ended one that was established', () => {
  const text = e => remark(e)?.map(p => p.name ?? p).join('') ?? null;
  assert.equal(text(ended('hung up', 'talking')), 'Call with bob ended');
  assert.equal(text(ended('hung up', 'calling')), null);
  assert.equal(text(ended('left', 'ringing')), 'bob gave up');
  assert.equal(text(ended('left', 'calling')), 'bob is busy or declined');
  assert.equal(text(ended('left', 'talking')), 'bob hung up');
  assert.equal(text(ended('failed', 'talking')), null);
});

test('a failure has its cause', () => {
  for (const [reason, want] of [['absent', /not signed in/], ['unanswered', /does not answer/], ['failed', /network/], ['lost', /closed/]]) {
    assert.match(failure(ended(reason, 'calling')), want);
  }
  assert.match(failure(ended('negotiation', 'talking', new Error('no codec'))), /bob cannot agree on a call: no codec$/);
  assert.match(failure(ended('negotiation', 'talking')), /no reason given$/);
  assert.equal(failure(ended('left', 'talking')), '');
});
