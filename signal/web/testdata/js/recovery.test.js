import assert from 'node:assert/strict';
import test from 'node:test';

import {Recovery} from '../../page/recovery.js';

/** Returns a Recovery with mocked timers, its connection, and what it has reported. */
function newRecovery(t, caller = true) {
  t.mock.timers.enable({apis: ['setTimeout']});
  const transport = {state: 'new', onstatechange: null};
  const pc = {connectionState: 'new', sctp: {transport}, getSenders: () => []};
  const events = [];
  const recovery = new Recovery(pc, caller, {
    state: state => events.push(state), ended: reason => events.push(`ended: ${reason}`), restartICE: () => events.push('restart'),
  });
  const become = state => {
    pc.connectionState = state;
    pc.onconnectionstatechange();
  };
  return {recovery, pc, transport, events, become, tick: ms => t.mock.timers.tick(ms)};
}

test('an offer without an answer ends after 45 s', t => {
  const {recovery, events, tick} = newRecovery(t);
  recovery.offered();
  tick(44999);
  assert.deepEqual(events, []);
  tick(1);
  assert.deepEqual(events, ['ended: unanswered']);
});

test('an answer without a connection ends after 30 s, and a connection lasts', t => {
  const {recovery, events, become, tick} = newRecovery(t);
  recovery.offered();
  recovery.negotiated();
  tick(30000);
  assert.deepEqual(events, ['ended: failed']);
  events.length = 0;
  recovery.negotiated();
  become('connected');
  tick(10 ** 9);
  assert.deepEqual(events, ['connected']);
});

test('a failed connection is restarted once, by the caller', t => {
  for (const caller of [true, false]) {
    const {events, become, tick} = newRecovery(t, caller);
    become('connected');
    become('failed');
    assert.deepEqual(events, caller ? ['connected', 'restart', 'failed'] : ['connected', 'failed']);
    tick(20000);
    assert.equal(events.at(-1), 'ended: failed');
    t.mock.timers.reset();
  }
});

test('a connection that has recovered may fail again, and one that fails twice in a row ends', t => {
  const {events, become} = newRecovery(t);
  for (let i = 0; i < 2; i++) {
    become('failed');
    become('connected');
  }
  assert.equal(events.filter(e => e === 'restart').length, 2);
  become('failed');
  become('failed');
  assert.ok(events.includes('ended: failed'));
});

test('a connection that the peer closes ends the call', t => {
  const {recovery, transport, events, become} = newRecovery(t);
  recovery.negotiated();
  become('connected');
  transport.state = 'connected';
  transport.onstatechange();
  transport.state = 'closed';
  transport.onstatechange();
  assert.deepEqual(events, ['connected', 'ended: left']);
});

test('stop ends all reports', t => {
  const {recovery, pc, transport, events, tick} = newRecovery(t);
  recovery.negotiated();
  recovery.stop();
  tick(10 ** 9);
  assert.deepEqual([events, pc.onconnectionstatechange, transport.onstatechange], [[], null, null]);
});
