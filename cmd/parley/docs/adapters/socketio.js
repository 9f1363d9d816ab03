#!/usr/bin/env node
// Signaling by socket.io, for a server that has a client join a room by its name and passes "signal" on to the room "to".
//
//    parley call page --signaling 'exec:./socketio.js https://signal.example.org'
//
// It needs the package socket.io-client. "parley help adapters" describes the messages.
const readline = require('readline');
const {io} = require('socket.io-client');

const write = message => process.stdout.write(JSON.stringify(message) + '\n');
let socket;

readline.createInterface({input: process.stdin}).on('line', line => {
	const {type, name, call, peer, sdp, candidate} = JSON.parse(line);
	if (type === 'login') {
		connect(name);
	} else if (type !== 'error') { // parley shows its errors
		socket.emit('signal', {to: peer, call, type, sdp, candidate}, there => {
			if (!there && type === 'offer') write({type: 'error', call, code: 'absent', text: `${peer} has not joined`});
		});
	}
}).on('close', () => socket?.close());

function connect(name) {
	socket = io(process.argv[2], {reconnection: false});
	socket.on('connect', () => socket.emit('join', name, () => write({type: 'ready'})));
	socket.on('signal', ({from, call, type, sdp, candidate}) => write({type, call, peer: from, sdp, candidate}));
	socket.on('connect_error', error => fail(`cannot connect: ${error.message}`));
	socket.on('disconnect', reason => { if (reason !== 'io client disconnect') fail(`the connection is lost: ${reason}`); });
}

function fail(why) {
	console.error(why);
	process.exit(1);
}
