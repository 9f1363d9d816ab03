"""The wire of signal/doc.go, and the report of what is seen, for the peers in Python.

A peer is started with one argument, JSON with
    server, dialect (call or relay), name, partner, offers, audio, video (a codec or ""), data, complete, relay,
    apart (no BUNDLE; GStreamer and browsers)
and writes a line of JSON for all that it finds out: ready, cannot (why this peer has not got what is asked for), and
what it sees: connected, text, tone (Hz), frames, size, codec, audio_packets, video_packets, relayed.
"""
import json
import sys

import numpy
import websockets


def report(**what):
    print(json.dumps(what), flush=True)


def pitch(samples, rate):
    """The loudest frequency of samples, in Hz; 0 if all is silent."""
    samples = samples.astype(numpy.float64)
    if len(samples) == 0 or numpy.abs(samples).max() < 300:  # of 32767
        return 0
    power = numpy.abs(numpy.fft.rfft(samples * numpy.hanning(len(samples))))
    return round(float(numpy.argmax(power)) * rate / len(samples))


class Wire:
    """One connection to the signaling server."""

    def __init__(self, config):
        self.config = config
        self.relay = config["dialect"] == "relay"

    async def open(self):
        self.socket = await websockets.connect(self.config["server"], max_size=1 << 20)
        if self.relay:
            await self._put({"inst": "init", "id": self.config["name"]})
        else:
            await self._put({"type": "login", "name": self.config["name"]})
            while (await self.receive())[0] != "login":
                pass

    async def describe(self, kind, sdp):
        d = {"type": kind, "sdp": sdp}
        await self._put({"inst": "send", "peerId": self.config["partner"], "message": d} if self.relay
                        else {"type": kind, kind: d, "name": self.config["partner"]})

    async def candidate(self, line, mline, mid=None):
        c = {"candidate": line, "sdpMLineIndex": mline, "sdpMid": mid}
        await self._put({"inst": "send", "peerId": self.config["partner"], "message": {"candidate": c}} if self.relay
                        else {"type": "candidate", "candidate": c, "name": self.config["partner"]})

    async def receive(self):
        """The next message: its type, and the description, the candidate or nothing."""
        while True:
            try:
                m = json.loads(await self.socket.recv())
            except ValueError:
                continue
            if "candidate" in m:
                return "candidate", m["candidate"]
            kind = m.get("type")
            if kind in ("offer", "answer"):
                return kind, m["sdp"] if self.relay else m[kind]["sdp"]
            return kind, m

    async def _put(self, m):
        await self.socket.send(json.dumps(m))


def config():
    return json.loads(sys.argv[1])
