"""aiortc as a peer of a test; see wire.py."""
import asyncio
import fractions

import aiortc
import av
import numpy
from aiortc.sdp import candidate_from_sdp

from wire import Wire, config, pitch, report

RATE = 48000


class Tone(aiortc.MediaStreamTrack):
    """440 Hz, in frames of 20 ms."""
    kind = "audio"
    sent = 0

    async def recv(self):
        if self.sent == 0:
            self.began = asyncio.get_running_loop().time()
        await asyncio.sleep(max(0, self.began + self.sent / RATE - asyncio.get_running_loop().time()))
        n = numpy.arange(self.sent, self.sent + RATE // 50)
        samples = (8000 * numpy.sin(2 * numpy.pi * 440 * n / RATE)).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.sent, fractions.Fraction(1, RATE)
        self.sent += RATE // 50
        return frame


class Video(aiortc.VideoStreamTrack):
    """A bar that moves, 320x240, 30 frames a second."""
    number = 0

    async def recv(self):
        pts, base = await self.next_timestamp()
        image = numpy.full((240, 320, 3), 60, numpy.uint8)
        at = self.number * 4 % 280
        image[:, at:at + 40] = (200, 120, 40)
        self.number += 1
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = pts, base
        return frame


async def hear(track):
    heard, packets = [], 0
    while True:
        frame = await track.recv()
        packets += 1
        samples = frame.to_ndarray().reshape(-1)[::len(frame.layout.channels)]
        heard = heard[-24:] + [samples]
        if packets % 25 == 0:
            report(audio_packets=packets, tone=pitch(numpy.concatenate(heard), frame.sample_rate))


async def watch(track):
    frames = 0
    while True:
        frame = await track.recv()
        frames += 1
        if frames % 5 == 0:
            report(frames=frames, size=f"{frame.width}x{frame.height}")


def prefer(pc, codec):
    """Has the video section carry this codec alone."""
    for t in pc.getTransceivers():
        if t.kind == "video":
            able = aiortc.RTCRtpSender.getCapabilities("video").codecs
            t.setCodecPreferences([c for c in able if c.mimeType.lower() == "video/" + codec.lower()])


def listen(channel):
    @channel.on("message")
    def _(text):
        report(text=text)


async def main():
    c = config()
    codecs = {x.mimeType.split("/")[1].upper() for x in aiortc.RTCRtpSender.getCapabilities("video").codecs}
    if c["video"] and c["video"] not in codecs:
        return report(cannot=f"aiortc {aiortc.__version__} has no {c['video']}")
    if c["relay"]:
        return report(cannot=f"aiortc {aiortc.__version__} has no iceTransportPolicy: aiortc/aiortc#1397")
    wire = Wire(c)
    await wire.open()
    pc = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    pc.on("connectionstatechange", lambda: report(connected=pc.connectionState == "connected"))
    pc.on("track", lambda track: asyncio.ensure_future(hear(track) if track.kind == "audio" else watch(track)))

    @pc.on("datachannel")
    def _(channel):
        listen(channel)
        channel.send("from aiortc")

    def send_media():
        if c["audio"]:
            pc.addTrack(Tone())
        if c["video"]:
            pc.addTrack(Video())
            prefer(pc, c["video"])

    report(ready=True, version=aiortc.__version__)
    if c["offers"]:
        send_media()
        if c["data"]:
            channel = pc.createDataChannel(c["label"])
            channel.on("open", lambda: channel.send("from aiortc"))
            listen(channel)
        await pc.setLocalDescription(await pc.createOffer())
        await wire.describe("offer", pc.localDescription.sdp)
    while True:
        kind, m = await wire.receive()
        if kind == "offer":
            await pc.setRemoteDescription(aiortc.RTCSessionDescription(m, "offer"))
            if not any(s.track for s in pc.getSenders()):
                send_media()
            await pc.setLocalDescription(await pc.createAnswer())
            await wire.describe("answer", pc.localDescription.sdp)
        elif kind == "answer":
            await pc.setRemoteDescription(aiortc.RTCSessionDescription(m, "answer"))
        elif kind == "candidate" and m.get("candidate"):
            candidate = candidate_from_sdp(m["candidate"].removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = m.get("sdpMid"), m.get("sdpMLineIndex")
            await pc.addIceCandidate(candidate)
        elif kind == "leave":
            report(left=True)


asyncio.run(main())
