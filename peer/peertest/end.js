// What ends of calls in Node share: lines of JSON, and how an RTCPeerConnection
// takes and makes descriptions and candidates by them.
exports.say = message => process.stdout.write(JSON.stringify(message) + '\n');

// obey carries out each line of stdin, one after the other, by the function that
// its member "do" names, and ends with stdin.
exports.obey = find => {
	let chain = Promise.resolve();
	require('node:readline').createInterface({input: process.stdin}).on('line', line => {
		const message = JSON.parse(line);
		chain = chain.then(() => find(message.do)(message));
	}).on('close', () => process.exit(0));
};

// signaling carries out call, offer, answer and candidate for pc, whose
// candidates it reports. Those that come before a description wait for it.
exports.signaling = pc => {
	const early = [];
	const flush = async () => { for (const c of early.splice(0)) await pc.addIceCandidate(c); };
	pc.onicecandidate = e => e.candidate && exports.say({do: 'candidate', candidate: e.candidate});
	return {
		async call() {
			await pc.setLocalDescription(await pc.createOffer());
			exports.say({do: 'offer', sdp: pc.localDescription.sdp});
		},
		async offer({sdp}) {
			await pc.setRemoteDescription({type: 'offer', sdp});
			await pc.setLocalDescription(await pc.createAnswer());
			exports.say({do: 'answer', sdp: pc.localDescription.sdp});
			await flush();
		},
		async answer({sdp}) {
			await pc.setRemoteDescription({type: 'answer', sdp});
			await flush();
		},
		async candidate({candidate}) {
			if (pc.remoteDescription) await pc.addIceCandidate(candidate); else early.push(candidate);
		},
	};
};
