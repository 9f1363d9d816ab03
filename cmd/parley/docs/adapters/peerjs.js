#!/usr/bin/env node
// Signaling with PeerJS by a PeerServer. PeerJS makes one connection for media and another for data, so an offer without
// media to send is one for data. A peer that connects for data has the name ID/data, and ID otherwise.
//
//    parley call page --video test --signaling 'exec:./peerjs.js wss://0.peerjs.com/peerjs'
//
// It needs the package ws. "parley help adapters" describes the messages.
const readline = require('readline');
const {WebSocket} = require('ws');

const write = message => process.stdout.write(JSON.stringify(message) + '\n');
const calls = new Map(); // by ID, which is the connectionId: the ID of the peer, and the type of the connection
let socket, id;

readline.createInterface({input: process.stdin}).on('line', line => {
	const message = JSON.parse(line);
	if (message.type === 'login') connect(message.name);
	else if (message.type !== 'error') send(message); // parley shows its errors
}).on('close', () => { id = undefined; socket?.close(); });

// send passes a message of parley on.
function send({type, call, peer, sdp, candidate}) {
	if (type === 'offer' && !calls.has(call)) {
		const sends = sdp.split('\nm=').some(section => /^(audio|video)/.test(section) && /\na=send(recv|only)/.test(section));
		calls.set(call, {peer: peer.replace(/\/data$/, ''), type: sends ? 'media' : 'data'});
	}
	const known = calls.get(call);
	if (!known) return; // the peer has left
	const payload = {type: known.type, connectionId: call, browser: 'parley'};
	if (type === 'leave') {
		calls.delete(call);
		if ([...calls.values()].some(other => other.peer === known.peer)) return; // LEAVE ends all connections
	}
	if (type === 'offer') Object.assign(payload, {label: call, reliable: true, serialization: 'raw'});
	if (type === 'candidate') payload.candidate = candidate;
	else if (type === 'offer' || type === 'answer') payload.sdp = {type, sdp};
	else if (type !== 'leave') return;
	socket.send(JSON.stringify({type: type.toUpperCase(), dst: known.peer, payload}));
}

// receive passes a message of the server on.
function receive({type, src, payload}) {
	const call = payload?.connectionId, peer = payload?.type === 'data' ? src + '/data' : src;
	if (type === 'OPEN') write({type: 'ready'});
	else if (type === 'ID-TAKEN' || type === 'ERROR') write({type: 'error', code: 'unauthorized', text: payload?.msg ?? type});
	else if (type === 'OFFER') calls.set(call, {peer: src, type: payload.type});
	if (type === 'OFFER' || type === 'ANSWER') write({type: type.toLowerCase(), call, peer, sdp: payload.sdp.sdp});
	else if (type === 'CANDIDATE' && payload.candidate) write({type: 'candidate', call, candidate: payload.candidate});
	else if (type === 'LEAVE' || type === 'EXPIRE') end(src, type);
}

// end ends the calls with a peer that has left the server, or never was there.
function end(peer, type) {
	for (const [call, known] of calls) {
		if (known.peer !== peer) continue;
		calls.delete(call);
		write(type === 'LEAVE' ? {type: 'leave', call} : {type: 'error', call, code: 'absent', text: `${peer} is not there`});
	}
}

function connect(name) {
	id = name;
	const query = new URLSearchParams({key: 'peerjs', id, token: Math.random().toString(36).slice(2), version: '1.5.5'});
	socket = new WebSocket(`${process.argv[2]}?${query}`);
	socket.on('message', text => receive(JSON.parse(text)));
	socket.on('error', error => console.error(error.message));
	socket.on('close', () => { if (id) process.exit(1); });
	const beat = setInterval(() => socket.readyState === 1 && socket.send('{"type":"HEARTBEAT"}'), 5000);
	socket.on('close', () => clearInterval(beat));
}
