// Publishes in the order of OBS with libdatachannel, as OBS uses it: the POST has no candidates, and nothing is
// trickled, so the server learns of the client by its checks. It wants what OBS wants of the server. The media are RTP packets of ffmpeg.
// Arguments: URL, token or empty. SIGTERM ends the session.
const dgram = require('node:dgram');
const {spawn} = require('node:child_process');
const rtc = require('node-datachannel');

const [url, token] = process.argv.slice(2);
const report = event => console.log(JSON.stringify(event));
const fail = text => { report({error: text}); process.exit(1); };
const ssrc = {audio: 1111, video: 2222}, type = {audio: 111, video: 96};

const pc = new rtc.PeerConnection('obs', {iceServers: [], disableAutoNegotiation: true});
const audio = new rtc.Audio('0', 'SendOnly'), video = new rtc.Video('1', 'SendOnly');
audio.addOpusCodec(type.audio);
audio.addSSRC(ssrc.audio, 'obs', 'stream', 'audio');
video.addH264Codec(type.video, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
video.addSSRC(ssrc.video, 'obs', 'stream', 'video');
const tracks = {audio: pc.addTrack(audio), video: pc.addTrack(video)};

// media runs ffmpeg, and forwards its packets.
async function media() {
	for (const kind of ['audio', 'video']) {
		const socket = dgram.createSocket('udp4');
		await new Promise(done => socket.bind(0, '127.0.0.1', done));
		const source = kind === 'audio'
			? ['-f', 'lavfi', '-i', 'sine=frequency=700:sample_rate=48000', '-ac', '2', '-c:a', 'libopus']
			: ['-f', 'lavfi', '-i', 'testsrc=size=320x240:rate=20', '-pix_fmt', 'yuv420p', '-c:v', 'libx264', '-profile:v', 'baseline', '-preset', 'ultrafast', '-tune', 'zerolatency', '-g', '20', '-bf', '0'];
		const ffmpeg = spawn('ffmpeg', ['-loglevel', 'error', '-re', ...source, '-payload_type', String(type[kind]), '-ssrc', String(ssrc[kind]),
			'-f', 'rtp', `rtp://127.0.0.1:${socket.address().port}?pkt_size=1200`], {stdio: ['ignore', 'ignore', 'inherit']});
		process.on('exit', () => ffmpeg.kill('SIGKILL'));
		let sent = 0;
		socket.on('message', packet => {
			if (packet[1] >= 192 && packet[1] <= 223 || !tracks[kind].isOpen()) return; // RTCP (RFC 5761 section 4)
			tracks[kind].sendMessageBinary(packet);
			if (++sent === 100) report({[kind + '_packets']: sent});
		});
	}
}

async function main() {
	const headers = {'Content-Type': 'application/sdp', 'User-Agent': 'Mozilla/5.0 (OBS-Studio/30.2; Linux; en-US)', ...token && {Authorization: 'Bearer ' + token}};
	pc.onStateChange(state => report({state}));
	const offer = new Promise(done => pc.onLocalDescription(sdp => done(sdp)));
	pc.setLocalDescription('offer');
	const sdp = await offer;
	if (sdp.includes('a=candidate')) fail('the offer has candidates');
	const response = await fetch(url, {method: 'POST', headers, body: sdp, signal: AbortSignal.timeout(8000), redirect: 'manual'});
	const answer = await response.text();
	if (response.status !== 201) fail(`status ${response.status}: ${answer}`);
	const location = response.headers.get('location');
	if (!location?.startsWith('/') || location.includes('?')) fail('Location ' + location);
	const session = new URL(location, url);
	report({status: response.status, location, answer});
	pc.setRemoteDescription(answer, 'answer');
	await media();
	process.on('SIGTERM', async () => {
		const ended = await fetch(session, {method: 'DELETE', headers: {...token && {Authorization: 'Bearer ' + token}}});
		report({deleted: ended.status});
		process.exit(0);
	});
}

main().catch(e => fail(String(e)));
