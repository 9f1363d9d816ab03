// libdatachannel (npm node-datachannel) as a peer of a test. It has no codecs: it sends back what it gets, packet by packet.
const rtc = require('node-datachannel');
const {config, connect, report} = require('./wire.js');

const packets = {audio: 0, video: 0}, early = [], kept = []; // what is not kept is collected
let wire, described = false;

const pc = new rtc.PeerConnection('peer', {
	iceServers: config.relay ? [{hostname: config.relay.host.split(':')[0], port: +config.relay.host.split(':')[1], username: config.relay.username, password: config.relay.credential, relayType: 'TurnUdp'}] : [],
	disableAutoNegotiation: true,
});

// ours are the stream identifiers of what this side sends.
const ours = {audio: 1111, video: 2222};

function reflect(track, kind) {
	kept.push(track);
	track.onMessage(packet => {
		if (packet[1] >= 192 && packet[1] <= 223) return; // RTCP (RFC 5761 section 4)
		if (++packets[kind] % 10 === 0) report({[kind + '_packets']: packets[kind]});
		packet.writeUInt32BE(ours[kind], 8);
		if (track.isOpen()) track.sendMessageBinary(packet);
	});
}

function talk(channel) {
	kept.push(channel);
	const greet = () => channel.sendMessage('from libdatachannel');
	channel.onMessage(text => report({text: text.toString()}));
	if (channel.isOpen()) greet(); else channel.onOpen(greet);
}

// send adds a section with one codec: of the local offer, or, where the offer of the peer is given, of that.
function send(kind, offer) {
	const name = kind === 'audio' ? 'opus' : config.video;
	const mine = offer?.split(/(?=^m=)/m).find(s => s.startsWith('m=' + kind));
	if (offer && !mine) return;
	const mid = mine?.match(/^a=mid:(.*?)\r?$/m)[1] ?? kind, type = +(mine?.match(new RegExp('^a=rtpmap:(\\d+) ' + name, 'mi'))?.[1] ?? (kind === 'audio' ? 111 : 96));
	const section = kind === 'audio' ? new rtc.Audio(mid, 'SendRecv') : new rtc.Video(mid, 'SendRecv');
	const add = {opus: 'addOpusCodec', VP8: 'addVP8Codec', VP9: 'addVP9Codec', H264: 'addH264Codec', AV1: 'addAV1Codec'}[name];
	section[add](type);
	section.addSSRC(ours[kind], 'peer', 'stream', kind);
	reflect(pc.addTrack(section), kind);
}

function take(kind, what) {
	if (kind === 'offer' || kind === 'answer') {
		if (kind === 'offer' && !kept.length) for (const k of ['audio', 'video']) if (config[k]) send(k, what);
		pc.setRemoteDescription(what, kind);
		described = true;
		if (kind === 'offer') pc.setLocalDescription('answer');
		for (const c of early.splice(0)) pc.addRemoteCandidate(c.candidate, c.sdpMid ?? '0');
	} else if (kind === 'candidate' && what.candidate) {
		if (described) pc.addRemoteCandidate(what.candidate, what.sdpMid ?? '0'); else early.push(what);
	} else if (kind === 'leave') {
		report({left: true});
	}
}

async function main() {
	pc.onStateChange(s => report({connected: s === 'connected'}));
	pc.onDataChannel(talk);
	pc.onLocalDescription((sdp, type) => { if (!config.complete) wire.describe(type, sdp); });
	pc.onLocalCandidate((candidate, sdpMid) => {
		if (config.relay && !candidate.includes('typ relay')) return; // its own policy of relays alone does nothing: paullouisageneau/libdatachannel#1587
		if (!config.complete) wire.candidate({candidate, sdpMid, sdpMLineIndex: 0});
	});
	pc.onGatheringStateChange(s => {
		if (config.complete && s === 'complete') wire.describe(pc.localDescription().type, pc.localDescription().sdp);
	});
	wire = await connect(take);
	report({ready: true, version: rtc.getLibraryVersion()});
	if (!config.offers) return;
	for (const kind of ['audio', 'video']) if (config[kind]) send(kind);
	if (config.data) talk(pc.createDataChannel(config.label));
	pc.setLocalDescription('offer');
}

main().catch(e => { report({error: String(e)}); process.exit(1); });
