// One end of a call by libwebrtc or libdatachannel, driven by lines of JSON as
// node.go has them: node end.js libwebrtc|libdatachannel.
const {say, obey, signaling} = require('../end.js');
const high = 4 << 20, low = 1 << 20; // bytes queued before the sender waits, and until when

// Each kind connects, and gives send, queued and onLow; it calls opened with
// that, and came with each message.
const kinds = {
	libwebrtc(offers, opened, came) {
		const {RTCPeerConnection} = require('@roamhq/wrtc');
		const pc = new RTCPeerConnection();
		const watch = channel => {
			channel.binaryType = 'arraybuffer';
			channel.onmessage = e => came(e.data);
			channel.onopen = () => opened({
				send: m => channel.send(m),
				queued: () => channel.bufferedAmount,
				onLow: f => setInterval(() => channel.bufferedAmount < low && f(), 1), // it has no such event
			});
		};
		pc.ondatachannel = e => watch(e.channel);
		if (offers) watch(pc.createDataChannel('bulk'));
		return signaling(pc);
	},
	libdatachannel(offers, opened, came) {
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

let channel, bytes = 0, first;
const came = message => {
	if (typeof message === 'string') {
		say({do: 'received', bytes, ms: Number(process.hrtime.bigint() - first) / 1e6});
		return;
	}
	first ??= process.hrtime.bigint();
	bytes += message.byteLength;
};

// send sends for a time, and then the end as a text.
const send = ({ms, size}) => {
	const message = Buffer.alloc(size, 'x'), until = Date.now() + ms;
	let over = false;
	const fill = () => {
		while (!over && channel.queued() < high) {
			if (Date.now() >= until) {
				over = true;
				channel.send('end');
				return;
			}
			channel.send(message);
		}
	};
	channel.onLow(fill);
	fill();
};

let end;
const act = {
	make: ({offers}) => {
		end = kinds[process.argv[2]](offers, c => { channel = c; say({do: 'open'}); }, came);
		say({do: 'made'});
	},
	send,
	bye: () => process.exit(0),
};
obey(name => act[name] ?? end[name]);
