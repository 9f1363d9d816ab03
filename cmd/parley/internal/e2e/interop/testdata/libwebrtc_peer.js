// libwebrtc outside of a browser (npm @roamhq/wrtc) as a peer of a test; see wire.js.
const {MediaStream, RTCPeerConnection, RTCRtpSender, nonstandard} = require('@roamhq/wrtc');
const {config, negotiate, report} = require('./wire.js');

const rate = 48000;
const pc = new RTCPeerConnection({
	iceServers: config.relay ? [config.relay] : [], iceTransportPolicy: config.relay ? 'relay' : 'all', bundlePolicy: 'max-bundle',
});

// tone sends 440 Hz, ten milliseconds at a time, and video a bar that moves.
function tone() {
	const source = new nonstandard.RTCAudioSource();
	let n = 0;
	setInterval(() => {
		const samples = new Int16Array(rate / 100);
		for (let i = 0; i < samples.length; i++) samples[i] = 8000 * Math.sin(2 * Math.PI * 440 * n++ / rate);
		source.onData({samples, sampleRate: rate, bitsPerSample: 16, channelCount: 1, numberOfFrames: samples.length});
	}, 10);
	return source.createTrack();
}

function video() {
	const source = new nonstandard.RTCVideoSource(), width = 320, height = 240;
	let n = 0;
	setInterval(() => {
		const data = new Uint8ClampedArray(width * height * 3 / 2).fill(128);
		for (let y = 0; y < height; y++) data.fill(220, y * width + n % 280, y * width + n % 280 + 40);
		n += 4;
		source.onFrame({width, height, data});
	}, 66);
	return source.createTrack();
}

function sendMedia() {
	const stream = new MediaStream();
	if (config.audio) pc.addTrack(tone(), stream);
	if (config.video) pc.addTrack(video(), stream);
	const codecs = RTCRtpSender.getCapabilities('video').codecs.filter(c => c.mimeType.toUpperCase() === 'VIDEO/' + config.video);
	for (const t of pc.getTransceivers()) if (t.receiver.track.kind === 'video') t.setCodecPreferences(codecs);
}

// hear counts the zero crossings of a second.
function hear(track) {
	const sink = new nonstandard.RTCAudioSink(track);
	let crossings = 0, samples = 0, last = 0, loud = 0, packets = 0;
	sink.ondata = d => {
		const step = d.channelCount ?? 1;
		for (let i = 0; i < d.samples.length; i += step) {
			const s = d.samples[i];
			if (s * last < 0) crossings++;
			if (s !== 0) last = s;
			loud = Math.max(loud, Math.abs(s));
			samples++;
		}
		packets++;
		if (samples < d.sampleRate / 2) return;
		report({audio_packets: packets, tone: loud < 300 ? 0 : Math.round(crossings / 2 * d.sampleRate / samples)});
		crossings = samples = loud = 0;
	};
}

function watch(track) {
	let frames = 0;
	new nonstandard.RTCVideoSink(track).onframe = ({frame}) => {
		if (++frames % 5 === 0) report({frames, size: frame.width + 'x' + frame.height});
	};
}

function talk(channel) {
	channel.onopen = () => channel.send('from libwebrtc');
	channel.onmessage = e => report({text: e.data});
}

async function main() {
	const able = RTCRtpSender.getCapabilities('video').codecs.map(c => c.mimeType.toUpperCase());
	if (config.video && !able.includes('VIDEO/' + config.video)) {
		report({cannot: 'the libwebrtc of @roamhq/wrtc is built without ' + config.video});
		process.exit(0);
	}
	pc.onconnectionstatechange = () => report({connected: pc.connectionState === 'connected'});
	pc.ondatachannel = e => talk(e.channel);
	pc.ontrack = e => (e.track.kind === 'audio' ? hear : watch)(e.track);
	const wire = await negotiate(pc, () => { if (!pc.getSenders().some(s => s.track)) sendMedia(); });
	pc.onicecandidate = e => wire.candidate(e.candidate);
	report({ready: true, version: require('./package.json').dependencies['@roamhq/wrtc']});
	if (!config.offers) return;
	sendMedia();
	if (config.data) talk(pc.createDataChannel(config.label));
	await wire.offer();
}

main().catch(e => { report({error: String(e)}); process.exit(1); });
