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

// negotiate signs in, and offers and answers for a peer connection as browsers have it, each description at once or with all
// candidates in it; prepare is called before an answer is made.
async function negotiate(pc, prepare) {
	const early = [];
	let wire;
	async function describe(kind) {
		await pc.setLocalDescription(kind === 'offer' ? await pc.createOffer() : await pc.createAnswer());
		while (config.complete && pc.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 20));
		wire.describe(kind, pc.localDescription.sdp);
	}
	async function take(kind, what) {
		if (kind === 'offer' || kind === 'answer') {
			await pc.setRemoteDescription({type: kind, sdp: what});
			if (kind === 'offer') {
				prepare();
				await describe('answer');
			}
			for (const c of early.splice(0)) await pc.addIceCandidate(c);
		} else if (kind === 'candidate' && what.candidate) {
			if (pc.remoteDescription) await pc.addIceCandidate(what); else early.push(what);
		} else if (kind === 'leave') {
			report({left: true});
		}
	}
	wire = await connect(take);
	return {offer: () => describe('offer'), candidate: c => { if (c && !config.complete) wire.candidate(c); }};
}

module.exports = {config, connect, negotiate, report};
