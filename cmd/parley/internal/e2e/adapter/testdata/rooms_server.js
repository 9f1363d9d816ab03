// A WebSocket server that passes each message on to the others of the same path. It prints its port.
const {WebSocketServer} = require('ws');

const rooms = new Map();
const server = new WebSocketServer({port: 0, host: '127.0.0.1'}, () => console.log(server.address().port));
server.on('connection', (socket, {url}) => {
	if (!rooms.has(url)) rooms.set(url, new Set());
	const room = rooms.get(url).add(socket);
	socket.on('message', (data, isBinary) => room.forEach(other => { if (other !== socket) other.send(data, {binary: isBinary}); }));
	socket.on('close', () => {
		room.delete(socket);
		room.forEach(other => other.close());
	});
});
