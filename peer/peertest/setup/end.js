// One end of a call by libwebrtc, driven by lines of JSON as end.go is.
const {RTCPeerConnection} = require('@roamhq/wrtc');
const {say, obey, signaling} = require('../end.js');
let pc, end;
const act = {
	make({offers}) {
		pc?.close();
		pc = new RTCPeerConnection();
		end = signaling(pc);
		const opens = channel => { channel.onopen = () => say({do: 'open'}); };
		pc.ondatachannel = e => opens(e.channel);
		if (offers) opens(pc.createDataChannel('channel1'));
		say({do: 'made'});
	},
	bye() { process.exit(0); },
};
obey(name => act[name] ?? end[name]);
