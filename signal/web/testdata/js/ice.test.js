import assert from 'node:assert/strict';
import test from 'node:test';

import {ICEServers, renewalIn, useServers} from '../../page/ice.js';

test('renewalIn is half of the time, no less than a second, and fits a timer', () => {
  assert.equal(renewalIn(60000), 30000);
  assert.equal(renewalIn(1), 1000);
  assert.equal(renewalIn(1e15), 2 ** 31 - 1);
});

test('renewalIn is 0 without a time', () => {
  for (const value of [0, -1, NaN, Infinity, undefined, null, '60000', {}]) assert.equal(renewalIn(value), 0, String(value));
});

function newServers(t) {
  t.mock.timers.enable({apis: ['setTimeout']});
  globalThis.RTCPeerConnection = class {
    constructor({iceServers: [server]}) {
      if (typeof server?.urls !== 'string') throw new SyntaxError('no URL');
    }

    close() {}
  };
  t.after(() => { delete globalThis.RTCPeerConnection; });
  let requests = 0;
  return {servers: new ICEServers(() => requests++), requests: () => requests};
}

test('others are requested at half of the time, once', t => {
  const {servers, requests} = newServers(t);
  servers.take({iceServers: [{urls: 'stun:a'}], iceServersFor: 60000});
  t.mock.timers.tick(29999);
  assert.equal(requests(), 0);
  t.mock.timers.tick(1);
  assert.equal(requests(), 1);
  servers.take({iceServers: [{urls: 'stun:b'}], iceServersFor: 60000});
  servers.take({iceServers: [{urls: 'stun:c'}], iceServersFor: 60000});
  t.mock.timers.tick(30000);
  assert.equal(requests(), 2);
  assert.deepEqual(servers.list, [{urls: 'stun:c'}]);
});

test('none are requested after stop, and without a time', t => {
  const {servers, requests} = newServers(t);
  servers.take({iceServers: [], iceServersFor: 60000});
  servers.stop();
  servers.take({iceServers: []});
  t.mock.timers.tick(10 ** 9);
  assert.equal(requests(), 0);
});

test('servers that the browser refuses, and too many, are left out', t => {
  const {servers} = newServers(t);
  servers.take({iceServers: [null, {}, 'text', {urls: 'stun:a'}]});
  assert.deepEqual(servers.list, [{urls: 'stun:a'}]);
  servers.take({iceServers: Array.from({length: 100}, (_, i) => ({urls: `stun:${i}`}))});
  assert.equal(servers.list.length, 16);
  servers.take({iceServers: 'text'});
  assert.deepEqual(servers.list, []);
});

test('a connection that takes no other servers keeps its own', () => {
  const pc = {getConfiguration: () => ({bundlePolicy: 'balanced'}), setConfiguration: c => { pc.set = c; }};
  useServers(pc, [{urls: 'stun:a'}]);
  assert.deepEqual(pc.set, {bundlePolicy: 'balanced', iceServers: [{urls: 'stun:a'}]});
  pc.setConfiguration = () => { throw new Error('refused'); };
  useServers(pc, []);
});
