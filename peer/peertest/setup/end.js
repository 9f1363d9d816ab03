// One end of a call by libwebrtc, driven by lines of JSON as ours.go is.
const {RTCPeerConnection} = require('@roamhq/wrtc');
let pc, early;
const say = message => process.stdout.write(JSON.stringify(message) + '\n');
const flush = async () => { for (const c of early.splice(0)) await pc.addIceCandidate(c); };
const act = {
	make({offers}) {
		pc?.close();
		pc = new RTCPeerConnection();
		early = [];
		pc.onicecandidate = e => e.candidate && say({do: 'candidate', candidate: e.candidate});
		const opens = channel => { channel.onopen = () => say({do: 'open'}); };
		pc.ondatachannel = e => opens(e.channel);
		if (offers) opens(pc.createDataChannel('channel1'));
		say({do: 'made'});
	},
	async call() {
		await pc.setLocalDescription(await pc.createOffer());
		say({do: 'offer', sdp: pc.localDescription.sdp});
	},
	async offer({sdp}) {
		await pc.setRemoteDescription({type: 'offer', sdp});
		await pc.setLocalDescription(await pc.createAnswer());
		say({do: 'answer', sdp: pc.localDescription.sdp});
		await flush();
	},
	async answer({sdp}) {
		await pc.setRemoteDescription({type: 'answer', sdp});
		await flush();
	},
	async candidate({candidate}) {
		if (pc.remoteDescription) await pc.addIceCandidate(candidate); else early.push(candidate);
	},
	bye() { process.exit(0); },
};
let chain = Promise.resolve();
require('node:readline').createInterface({input: process.stdin}).on('line', line => {
	const message = JSON.parse(line);
	chain = chain.then(() => act[message.do](message));
});
