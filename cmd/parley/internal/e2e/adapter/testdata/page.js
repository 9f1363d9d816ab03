// What the pages of the tests share. seen is what a test reads.
const seen = {};
const failed = error => { seen.error = String(error); };
const params = new URLSearchParams(location.search);

const camera = () => navigator.mediaDevices.getUserMedia({audio: true, video: {width: 320, height: 240, frameRate: 15}});

// show plays a stream and notes the width of its video.
function show(stream) {
	const video = document.createElement('video');
	video.muted = video.autoplay = video.playsInline = true;
	video.onresize = () => { seen.width = video.videoWidth; };
	video.srcObject = stream;
	document.body.append(video);
}

// talk answers each text of a channel with pong.
function talk(channel) {
	channel.onmessage = e => {
		seen.text = e.data;
		channel.send('pong');
	};
}

// connect returns a connection that takes messages and sends them by send.
async function connect(send) {
	const pc = new RTCPeerConnection(), early = [], stream = await camera();
	for (const track of stream.getTracks()) pc.addTrack(track, stream);
	pc.onicecandidate = e => { if (e.candidate) send({type: 'candidate', candidate: e.candidate}); };
	pc.ontrack = e => { if (e.track.kind === 'video') show(e.streams[0] ?? new MediaStream([e.track])); };
	pc.ondatachannel = e => talk(e.channel);
	async function take({type, sdp, candidate}) {
		if (type === 'offer' || type === 'answer') {
			await pc.setRemoteDescription({type, sdp});
			if (type === 'offer') {
				await pc.setLocalDescription();
				send({type: 'answer', sdp: pc.localDescription.sdp});
			}
			for (const c of early.splice(0)) await pc.addIceCandidate(c);
		} else if (type === 'candidate') {
			if (pc.remoteDescription) await pc.addIceCandidate(candidate);
			else early.push(candidate);
		} else if (type === 'leave') {
			seen.left = true;
		}
	}
	let chain = Promise.resolve();
	return {
		take: message => { chain = chain.then(() => take(message)).catch(failed); },
		async offer() {
			talk(pc.createDataChannel('chat'));
			await pc.setLocalDescription();
			send({type: 'offer', sdp: pc.localDescription.sdp});
		},
	};
}
