// Publishes a file of H.264 and Opus with the WHIP muxer of FFmpeg, which npm node-av has.
// Arguments: file, URL, options of the muxer as JSON (authorization, whip_flags).
const av = require('node-av');

const [file, url, options] = process.argv.slice(2);
const report = event => console.log(JSON.stringify(event));

function check(what, code) {
	if (code < 0 && code !== av.AVERROR_EOF) {
		report({error: `${what}: ${new av.FFmpegError(code).message}`});
		process.exit(1);
	}
	return code;
}

async function main() {
	av.Log.setLevel(av.AV_LOG_VERBOSE);
	const input = new av.FormatContext(), output = new av.FormatContext();
	check('open', await input.openInput(file));
	check('streams', await input.findStreamInfo());
	check('muxer', output.allocOutputContext2(null, 'whip', url));
	for (const stream of input.streams) {
		const out = output.newStream(null);
		check('codec', stream.codecpar.copy(out.codecpar));
		out.codecpar.codecTag = 0;
		out.timeBase = stream.timeBase;
	}
	check('header', await output.writeHeader(av.Dictionary.fromObject(JSON.parse(options || '{}'))));
	report({connected: true});
	let ended = false;
	process.on('SIGTERM', () => { ended = true; });
	const packet = new av.Packet(), began = Date.now();
	packet.alloc();
	let packets = 0;
	while (!ended && check('read', await input.readFrame(packet)) >= 0) {
		const index = packet.streamIndex, from = input.streams[index].timeBase;
		const due = began + 1000 * Number(packet.dts) * from.num / from.den;
		await new Promise(done => setTimeout(done, Math.max(0, due - Date.now())));
		packet.rescaleTs(from, output.streams[index].timeBase);
		check('write', await output.interleavedWriteFrame(packet));
		if (++packets === 100) report({packets});
	}
	check('trailer', await output.writeTrailer());
	report({deleted: true});
}

main().catch(e => { report({error: String(e)}); process.exit(1); });
