import assert from 'node:assert/strict';
import test from 'node:test';

import {Connection} from '../../page/connection.js';

/** FakeSocket stands for a WebSocket. */
class FakeSocket {
  static OPEN = 1;
  static all = [];
  readyState = 0;
  sent = [];
  closed = null;

  constructor(url) {
    this.url = url;
    FakeSocket.all.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(text) { this.sent.push(text); }

  close(code) { this.closed = code; }
}

/** Returns a connection, what it has reported, and a function that fires an event of the window. */
function connected(t) {
  t.mock.timers.enable({apis: ['setTimeout']});
  t.mock.method(Math, 'random', () => 1);
  FakeSocket.all = [];
  globalThis.WebSocket = FakeSocket;
  const listeners = {}, events = [];
  globalThis.addEventListener = (type, listener) => { listeners[type] = listener; };
  t.after(() => { delete globalThis.addEventListener; });
  const connection = new Connection('wss://localhost/', {
    open: () => events.push('open'), message: data => events.push(data), closed: (code, reason) => events.push([code, reason]),
  });
  return {connection, events, fire: (type, event = {}) => listeners[type](event)};
}

test('a socket is opened, used and closed', t => {
  const {connection, events} = connected(t);
  assert.equal(connection.isOpen, false);
  connection.connect();
  const [socket] = FakeSocket.all;
  socket.open();
  assert.equal(connection.isOpen, true);
  connection.send('x');
  socket.onmessage({data: 'y'});
  connection.close(4400);
  assert.deepEqual([socket.url, socket.sent, socket.closed, events], ['wss://localhost/', ['x'], 4400, ['open', 'y']]);
  assert.equal(connection.isOpen, false);
});

test('the pause before an attempt doubles up to a limit, until one succeeds', t => {
  const {connection} = connected(t);
  const pause = () => {
    connection.retry();
    const before = FakeSocket.all.length;
    let ms = 0;
    while (FakeSocket.all.length === before) {
      t.mock.timers.tick(1);
      ms++;
    }
    return ms;
  };
  assert.deepEqual([pause(), pause(), pause(), pause(), pause(), pause(), pause()], [250, 500, 1000, 2000, 4000, 8000, 8000]);
  connection.succeeded();
  assert.equal(pause(), 250);
});

test('the pause is random', t => {
  const {connection} = connected(t);
  Math.random.mock.mockImplementation(() => 0.5);
  connection.retry();
  t.mock.timers.tick(124);
  assert.equal(FakeSocket.all.length, 0);
  t.mock.timers.tick(1);
  assert.equal(FakeSocket.all.length, 1);
});

test('a socket that does not open in time is given up', t => {
  const {connection, events} = connected(t);
  connection.connect();
  t.mock.timers.tick(15000);
  assert.deepEqual(events, [[1006, '']]);
  assert.equal(FakeSocket.all[0].closed, 1000);
});

test('an opened socket is not given up', t => {
  const {connection, events} = connected(t);
  connection.connect();
  FakeSocket.all[0].open();
  t.mock.timers.tick(60000);
  assert.deepEqual(events, ['open']);
});

test('the network, or the page, is back: a pause ends at once, and without one nothing happens', t => {
  const {connection, fire} = connected(t);
  fire('online');
  assert.equal(FakeSocket.all.length, 0);
  connection.retry();
  fire('pageshow', {persisted: false});
  assert.equal(FakeSocket.all.length, 0);
  fire('online');
  assert.equal(FakeSocket.all.length, 1);
  t.mock.timers.tick(8000);
  assert.equal(FakeSocket.all.length, 1, 'the timer of the pause is gone');
  connection.retry();
  fire('pageshow', {persisted: true});
  assert.equal(FakeSocket.all.length, 2);
});

test('a page that is left connects again when it is shown again', t => {
  const {connection, fire} = connected(t);
  connection.connect();
  connection.suspend();
  t.mock.timers.tick(60000);
  assert.equal(FakeSocket.all.length, 1);
  fire('pageshow', {persisted: true});
  assert.equal(FakeSocket.all.length, 2);
  fire('pageshow', {persisted: true});
  assert.equal(FakeSocket.all.length, 2, 'once');
});

test('close ends the attempts', t => {
  const {connection} = connected(t);
  connection.retry();
  connection.close();
  t.mock.timers.tick(60000);
  assert.equal(FakeSocket.all.length, 0);
});
