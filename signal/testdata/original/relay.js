// The signaling server of the hello-world sample, as the specification of the wire describes it, with its flaws: no reply, no
// errors, no sender, and it dies of a peerId that nobody has and of bad JSON. Do not repair it: the client is tested against it.
//
// node relay.js [PORT]   (or PORT in the environment; 0, the default, picks a free one and prints it)
'use strict';

const { WebSocketServer } = require('ws');

const clients = {};

const server = new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2] || process.env.PORT || 0) });

server.on('listening', () => console.log(`listening on ${server.address().port}`));

server.on('connection', (connection) => {
  connection.on('message', (frame) => {
    const data = JSON.parse(frame);
    if (data.inst === 'init') {
      clients[data.id] = connection;
    } else if (data.inst === 'send') {
      clients[data.peerId].send(JSON.stringify(data.message));
    }
  });
});
