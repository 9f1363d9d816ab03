// werift, WebRTC in TypeScript, as a peer of a test. It has no codecs: it sends back what it gets, packet by packet.
const {RTCPeerConnection, RTCRtpCodecParameters, MediaStreamTrack} = require('werift');
const {config, negotiate, report} = require('./wire.js');

const video = {
	VP8: {mimeType: 'video/VP8'}, VP9: {mimeType: 'video/VP9', parameters: 'profile-id=0'}, AV1: {mimeType: 'video/AV1', parameters: 'profile=0;level-idx=5;tier=0'},
	H264: {mimeType: 'video/H264', parameters: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f'},
};
const feedback = [{type: 'nack'}, {type: 'nack', parameter: 'pli'}];
const codecs = {audio: [new RTCRtpCodecParameters({mimeType: 'audio/opus', clockRate: 48000, channels: 2})]};
codecs.video = [new RTCRtpCodecParameters({...video[config.video || 'VP8'], clockRate: 90000, rtcpFeedback: feedback})];

const pc = new RTCPeerConnection({
	codecs, iceServers: config.relay ? [config.relay] : [], iceTransportPolicy: config.relay ? 'relay' : 'all', bundlePolicy: 'max-bundle',
	iceAdditionalHostAddresses: config.relay ? [] : ['127.0.0.1'],
});
const packets = {audio: 0, video: 0};

// reflect sends what comes back on the same section.
function reflect(transceiver) {
	const kind = transceiver.kind, back = new MediaStreamTrack({kind});
	transceiver.sender.replaceTrack(back);
	transceiver.onTrack.subscribe(track => track.onReceiveRtp.subscribe(rtp => {
		back.writeRtp(rtp.clone());
		if (++packets[kind] % 10 === 0) report({[kind + '_packets']: packets[kind]});
	}));
}

function talk(channel) {
	const greet = () => channel.send(Buffer.from('from werift').toString());
	channel.stateChanged.subscribe(state => { if (state === 'open') greet(); });
	if (channel.readyState === 'open') greet();
	channel.onMessage.subscribe(text => report({text: text.toString()}));
}

async function main() {
	pc.connectionStateChange.subscribe(s => report({connected: s === 'connected'}));
	pc.onDataChannel.subscribe(talk);
	pc.onRemoteTransceiverAdded.subscribe(t => { t.setDirection('sendrecv'); reflect(t); });
	const wire = await negotiate(pc, () => {});
	pc.onIceCandidate.subscribe(c => wire.candidate(c?.toJSON()));
	report({ready: true, version: require('./package.json').dependencies.werift});
	if (!config.offers) return;
	for (const kind of ['audio', 'video']) if (config[kind]) reflect(pc.addTransceiver(kind, {direction: 'sendrecv'}));
	if (config.data) talk(pc.createDataChannel(config.label));
	await wire.offer();
}

main().catch(e => { report({error: String(e)}); process.exit(1); });
