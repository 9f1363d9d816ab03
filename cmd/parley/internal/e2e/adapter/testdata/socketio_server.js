// A socket.io server that has clients join a room by their name. It prints its port.
const {createServer} = require('http');
const {Server} = require('socket.io');

const http = createServer(), io = new Server(http, {cors: {origin: '*'}});
io.on('connection', socket => {
	socket.on('join', (name, done) => {
		socket.data.name = name;
		socket.join(name);
		done();
	});
	socket.on('signal', ({to, ...message}, done) => {
		done(io.sockets.adapter.rooms.has(to));
		socket.to(to).emit('signal', {...message, from: socket.data.name});
	});
});
http.listen(0, '127.0.0.1', () => console.log(http.address().port));
