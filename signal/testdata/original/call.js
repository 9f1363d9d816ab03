// The signaling server of the video demo and the text demo, as the specification of the wire describes it, with its flaws: it
// greets in plain text, drops what is for an absent user without a word, and dies of a leave to somebody absent and of a
// socket that closes when its partner has gone. Do not repair it: the client is tested against it.
//
// node call.js [PORT]   (or PORT in the environment; 0, the default, picks a free one and prints it)
'use strict';

const { WebSocketServer } = require('ws');

const users = {};

function send(connection, message) {
  connection.send(JSON.stringify(message));
}

const handlers = {
  login(connection, data) {
    if (users[data.name]) {
      send(connection, { type: 'login', success: false });
      return;
    }
    users[data.name] = connection;
    connection.name = data.name;
    send(connection, { type: 'login', success: true });
  },

  offer(connection, data) {
    const other = users[data.name];
    if (other != null) {
      connection.otherName = data.name;
      send(other, { type: 'offer', offer: data.offer, name: connection.name });
    }
  },

  answer(connection, data) {
    const other = users[data.name];
    if (other != null) {
      connection.otherName = data.name;
      send(other, { type: 'answer', answer: data.answer });
    }
  },

  candidate(connection, data) {
    const other = users[data.name];
    if (other != null) {
      send(other, { type: 'candidate', candidate: data.candidate });
    }
  },

  leave(connection, data) {
    const other = users[data.name];
    other.otherName = null; // dies here when nobody has that name
    if (other != null) {
      send(other, { type: 'leave' });
    }
  },
};

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2] || process.env.PORT || 0) });

server.on('listening', () => console.log(`listening on ${server.address().port}`));

server.on('connection', (connection) => {
  connection.on('message', (frame) => {
    let data;
    try {
      data = JSON.parse(frame);
    } catch {
      data = {};
    }
    if (typeof data.type === 'string' && Object.hasOwn(handlers, data.type)) {
      handlers[data.type](connection, data);
      return;
    }
    send(connection, { type: 'error', message: 'Command not found: ' + data.type });
  });

  connection.on('close', () => {
    if (!connection.name) {
      return;
    }
    delete users[connection.name];
    if (connection.otherName) {
      const other = users[connection.otherName];
      other.otherName = null; // dies here when the partner has gone
      if (other != null) {
        send(other, { type: 'leave' });
      }
    }
  });

  connection.send('Hello world');
});
