import assert from 'node:assert/strict';
import test from 'node:test';

import {Signaling} from '../../page/signaling.js';

/** FakeSocket stands for a WebSocket to a signaling server. */
class FakeSocket {
  static OPEN = 1;
  static latest = null;
  readyState = 0;
  sent = [];
  closed = null;

  constructor() { FakeSocket.latest = this; }

  open() {
    this.readyState = 1;
    this.onopen();
    return this;
  }

  send(text) { this.sent.push(JSON.parse(text)); }

  receive(message) { this.onmessage({data: typeof message === 'string' ? message : JSON.stringify(message)}); }

  close(code) {
    this.readyState = 3;
    this.closed = code;
  }

  /** Is lost, or closed by the server. */
  lose(code = 1006, reason = '') {
    this.readyState = 3;
    this.onclose({code, reason});
  }
}

/** Returns a session that is about to begin, and what it has reported. */
function newSignaling(t, token = null) {
  t.mock.timers.enable({apis: ['setTimeout']});
  globalThis.WebSocket = FakeSocket;
  globalThis.addEventListener = () => {};
  t.after(() => { delete globalThis.addEventListener; });
  const events = [];
  const note = name => (...args) => events.push([name, ...args]);
  const signaling = new Signaling('wss://localhost/', token, {
    login: note('login'), connected: note('connected'), lost: note('lost'), ended: note('ended'), message: m => events.push(['message', m.type]),
  });
  const reconnect = () => {
    t.mock.timers.tick(8000);
    return FakeSocket.latest.open();
  };
  return {signaling, events, reconnect};
}

/** The same, signed in; resume is the token for a resumption, as only a server of ours has it. */
function signedIn(t, resume) {
  const session = newSignaling(t);
  session.signaling.signIn('bob');
  const socket = FakeSocket.latest.open();
  socket.receive({type: 'login', success: true, resume});
  session.events.length = 0;
  return {...session, socket};
}

test('a login', t => {
  const {signaling, events} = newSignaling(t, 'secret');
  signaling.signIn('bob');
  const socket = FakeSocket.latest.open();
  assert.deepEqual(socket.sent, [{type: 'login', name: 'bob', token: 'secret', iceServers: true, resume: true}]);
  socket.receive('Welcome to the original server');
  socket.receive({type: 'login', success: true, name: 'Bob'});
  assert.deepEqual(events, [['login', null], ['connected']]);
  assert.equal(signaling.name, 'Bob');
});

test('a login that is refused, and one without an answer', t => {
  const {signaling, events} = newSignaling(t);
  signaling.signIn('bob');
  FakeSocket.latest.open().receive({type: 'login', success: false, code: 'taken'});
  assert.deepEqual(events, [['login', 'The name bob is taken. Choose another one.']]);
  signaling.signIn('carol');
  t.mock.timers.tick(12000);
  assert.match(events[1][1], /does not answer/);
  assert.equal(signaling.name, null);
});

test('after an interruption the session is resumed, and nothing is lost or doubled', t => {
  const {signaling, events, socket, reconnect} = signedIn(t, 'R');
  signaling.send({type: 'one'});
  signaling.send({type: 'two'});
  socket.receive({type: 'hello', seq: 1, ack: 1});
  socket.lose();
  signaling.send({type: 'three'});
  const next = reconnect();
  assert.deepEqual(next.sent, [{type: 'login', name: 'bob', iceServers: true, resume: 'R', ack: 1, oldest: 1, served: 1, sent: 3, calls: []}]);
  next.receive({type: 'login', success: true, ack: 1});
  assert.deepEqual(next.sent.slice(1).map(m => [m.type, m.seq]), [['two', 2], ['three', 3]]);
  next.receive({type: 'hello', seq: 1, ack: 3});
  next.receive({type: 'again', seq: 2, ack: 3});
  assert.deepEqual(events, [['message', 'hello'], ['lost'], ['connected'], ['message', 'again']]);
});

test('another server continues the session', t => {
  const {signaling, events, socket, reconnect} = signedIn(t, 'first');
  signaling.send({type: 'offer', name: 'alice'});
  socket.receive({type: 'answer', name: 'alice', number: 5, seq: 1, ack: 1});
  socket.lose();
  signaling.send({type: 'candidate', name: 'alice'});
  const again = reconnect();
  assert.deepEqual(again.sent, [{
    type: 'login', name: 'bob', iceServers: true, resume: 'first', ack: 1, oldest: 1, served: 1, sent: 2,
    calls: [{name: 'alice', caller: true, first: 1, last: 2, received: 5}],
  }]);
  again.receive({type: 'login', success: true, resume: 'second', ack: 0});
  assert.deepEqual(again.sent.slice(1).map(m => [m.type, m.seq]), [['offer', 1], ['candidate', 2]]);
  again.receive({type: 'candidate', name: 'alice', number: 6, seq: 2, ack: 0});
  again.lose();
  assert.equal(reconnect().sent[0].resume, 'second');
  assert.deepEqual(events.filter(e => e[0] === 'message'), [['message', 'answer'], ['message', 'candidate']]);
});

test('a session that has expired begins anew', t => {
  const {events, socket, reconnect} = signedIn(t, 'R');
  socket.lose();
  const next = reconnect();
  next.receive({type: 'login', success: false, code: 'expired'});
  assert.deepEqual(next.sent.at(-1), {type: 'login', name: 'bob', iceServers: true, resume: true});
  next.receive({type: 'login', success: true, resume: 'S'});
  assert.deepEqual(events, [['lost'], ['login', null], ['connected']]);
});

test('without resumption, messages of an interruption are sent after the next login', t => {
  const {signaling, socket, reconnect} = signedIn(t);
  socket.lose();
  signaling.send({type: 'one'});
  const next = reconnect();
  next.receive({type: 'login', success: true});
  assert.deepEqual(next.sent.at(-1), {type: 'one'});
});

test('a message that is missing ends the session', t => {
  const {events, socket} = signedIn(t, 'R');
  socket.receive({type: 'hello', seq: 2});
  assert.equal(socket.closed, 4400);
  assert.match(events[0][1], /lost count/);
});

test('a final close ends the session, and no other attempt is made', t => {
  for (const [code, want] of [[4401, /expired/], [4403, /not allowed/], [4409, /another tab/], [1008, /does not allow/]]) {
    const {signaling, events, socket} = signedIn(t, 'R');
    socket.lose(code);
    t.mock.timers.tick(10 ** 6);
    assert.equal(FakeSocket.latest, socket);
    assert.equal(events.length, 1);
    assert.equal(events[0][0], 'ended');
    assert.match(events[0][1], want);
    assert.equal(signaling.name, null);
    t.mock.timers.reset();
  }
});

test('a login refused for good after an interruption ends the session, another one is tried again', t => {
  const {events, socket, reconnect} = signedIn(t, 'R');
  socket.lose();
  reconnect().receive({type: 'login', success: false, code: 'overloaded'});
  reconnect().receive({type: 'login', success: false, code: 'unauthorized', message: 'no'});
  assert.deepEqual(events.map(e => e[0]), ['lost', 'lost', 'ended']);
});

test('messages of an interruption are bounded', t => {
  for (const resume of ['R', undefined]) {
    const {signaling, socket, reconnect} = signedIn(t, resume);
    socket.lose();
    for (let i = 0; i < 2000; i++) signaling.send({type: 'x'});
    const next = reconnect();
    next.receive({type: 'login', success: true, ack: 0});
    assert.equal(next.sent.length, 501);
    t.mock.timers.reset();
  }
});

test('what is no message is ignored', t => {
  const {events, socket} = signedIn(t, 'R');
  for (const data of ['', 'text', 'null', '7', '[]', '{}', '{"type":7}', `{"type":"x","y":"${'y'.repeat(2 ** 20)}"}`]) socket.receive(data);
  socket.onmessage({data: new ArrayBuffer(3)});
  assert.deepEqual(events, []);
});

test('a session that expires soon is renewed with the latest token', t => {
  const {signaling, socket} = signedIn(t);
  signaling.renew('fresh');
  socket.receive({type: 'expiring'});
  assert.deepEqual(socket.sent.slice(1), Array(2).fill({type: 'login', name: 'bob', token: 'fresh', iceServers: true}));
});

test('after signing out nothing is received or tried again', t => {
  const {signaling, events, socket} = signedIn(t, 'R');
  signaling.signOut();
  assert.equal(socket.closed, 1000);
  signaling.send({type: 'late'});
  t.mock.timers.tick(10 ** 6);
  assert.equal(FakeSocket.latest, socket);
  assert.deepEqual([socket.sent.length, events], [1, []]);
});
