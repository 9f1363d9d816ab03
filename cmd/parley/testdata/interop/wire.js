// The wire of signal/doc.go, and the report of what is seen, for the peers in Node.js; wire.py says what a peer does.
const {WebSocket} = require('ws');

const config = JSON.parse(process.argv[2]);
const relay = config.dialect === 'relay';
const report = what => process.stdout.write(JSON.stringify(what) + '\n');

// connect signs in; each message goes to take(kind, what), one after the other.
async function connect(take) {
	const socket = new WebSocket(config.server);
	const put = m => socket.send(JSON.stringify(m));
	const to = m => put(relay ? {inst: 'send', peerId: config.partner, message: m} : {...m, name: config.partner});
	let chain = Promise.resolve(), in_;
	const login = new Promise(resolve => { in_ = resolve; });
	socket.on('message', data => {
		let m;
		try { m = JSON.parse(data); } catch { return; }
		if (m.type === 'login') in_();
		const kind = m.candidate ? 'candidate' : m.type;
		const what = m.candidate ?? (relay ? m.sdp : m[kind]?.sdp);
		chain = chain.then(() => take(kind, what)).catch(e => { report({error: String(e)}); });
	});
	await new Promise((resolve, reject) => { socket.on('open', resolve); socket.on('error', reject); });
	if (relay) put({inst: 'init', id: config.name});
	else { put({type: 'login', name: config.name}); await login; }
	return {
		describe: (type, sdp) => to(relay ? {type, sdp} : {type, [type]: {type, sdp}}),
		candidate: c => to(relay ? {candidate: c} : {type: 'candidate', candidate: c}),
	};
}

module.exports = {config, connect, report};
