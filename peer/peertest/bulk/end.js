// One end of a call by libwebrtc or libdatachannel, driven by lines of JSON as
// package ends has them: node end.js libwebrtc|libdatachannel.
const {say, obey, signaling} = require('../end.js');
const high = 4 << 20, low = 1 << 20; // bytes queued before the sender waits, and until when

// Each kind connects, and gives send, queued and onLow; it calls opened with
// that, and came with each message and the number of its channel.
const kinds = {
	libwebrtc(offers, count, opened, came) {
		const {RTCPeerConnection} = require('@roamhq/wrtc');
		const pc = new RTCPeerConnection();
		let number = 0;
		const watch = channel => {
			const own = number++;
			channel.binaryType = 'arraybuffer';
			channel.onmessage = e => came(e.data, own);
			channel.onopen = () => opened({
				send: m => channel.send(m),
				queued: () => channel.bufferedAmount,
				onLow: f => setInterval(() => channel.bufferedAmount < low && f(), 1), // it has no such event
			});
		};
		pc.ondatachannel = e => watch(e.channel);
		if (offers) for (let i = 0; i < count; i++) watch(pc.createDataChannel('bulk ' + i));
		return signaling(pc);
	},
	libdatachannel(offers, count, opened, came) { // one channel only
		const {PeerConnection} = require('node-datachannel');
		const pc = new PeerConnection('end', {iceServers: []}), early = [];
		let described = false;
		const flush = () => { described = true; for (const c of early.splice(0)) pc.addRemoteCandidate(c.candidate, c.sdpMid); };
		const watch = channel => {
			channel.setBufferedAmountLowThreshold(low);
			channel.onMessage(came);
			channel.onOpen(() => opened({
				send: m => typeof m === 'string' ? channel.sendMessage(m) : channel.sendMessageBinary(m),
				queued: () => channel.bufferedAmount(),
				onLow: f => channel.onBufferedAmountLow(f),
			}));
		};
		pc.onLocalDescription((sdp, type) => say({do: type.toLowerCase(), sdp}));
		pc.onLocalCandidate((candidate, mid) => say({do: 'candidate', candidate: {candidate: candidate.replace(/^a=/, ''), sdpMid: mid}}));
		pc.onDataChannel(watch);
		return {
			call() { watch(pc.createDataChannel('bulk')); }, // which makes the offer
			offer({sdp}) { pc.setRemoteDescription(sdp, 'offer'); flush(); },
			answer({sdp}) { pc.setRemoteDescription(sdp, 'answer'); flush(); },
			candidate({candidate: c}) { if (described) pc.addRemoteCandidate(c.candidate, c.sdpMid); else early.push(c); },
		};
	},
};

let count = 1, ended = 0, first;
const channels = [], bytes = [];
const came = (message, number = 0) => {
	if (typeof message === 'string') {
		if (++ended < count) return;
		say({do: 'received', bytes: bytes.reduce((a, b) => a + b), least: Math.min(...bytes), most: Math.max(...bytes),
			ms: Number(process.hrtime.bigint() - first) / 1e6});
		return;
	}
	first ??= process.hrtime.bigint();
	bytes[number] += message.byteLength;
};

// send sends for a time on all channels in turn, and then the end as a text.
const send = ({ms, size}) => {
	const message = Buffer.alloc(size, 'x'), until = Date.now() + ms, most = high / count;
	let over = false;
	const fill = () => {
		for (let sent = true; sent && !over;) {
			sent = false;
			if (Date.now() >= until) {
				over = true;
				for (const c of channels) c.send('end');
				return;
			}
			for (const c of channels) {
				if (c.queued() >= most) continue;
				c.send(message);
				sent = true;
			}
		}
	};
	if (count === 1) channels[0].onLow(fill); else setInterval(fill, 1);
	fill();
};

let end;
const act = {
	make: ({offers, channels: n = 1}) => {
		count = n;
		bytes.push(...Array(n).fill(0));
		end = kinds[process.argv[2]](offers, n, c => { if (channels.push(c) === n) say({do: 'open'}); }, came);
		say({do: 'made'});
	},
	send,
	bye: () => process.exit(0),
};
obey(name => act[name] ?? end[name]);
