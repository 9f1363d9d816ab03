"""Janus as a peer of a test; see wire.py.

Janus answers as its echo test, which sends back what it gets. It offers a mountpoint of its streaming plugin, which takes
nothing: audio and video that ffmpeg feeds.
"""
import asyncio
import itertools
import json
import os
import socket
import subprocess
import tempfile

import websockets

from wire import Wire, config, report

LIBRARY = "/usr/lib/x86_64-linux-gnu/janus"
ENCODERS = {
    "VP8": "libvpx -deadline realtime -cpu-used 8 -g 15 -b:v 500k", "VP9": "libvpx-vp9 -deadline realtime -cpu-used 8 -g 15 -b:v 500k",
    "H264": "libx264 -tune zerolatency -preset ultrafast -profile:v baseline -pix_fmt yuv420p -g 15",
}


def port(kind):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def configure(folder, at, c):
    write = lambda name, text: open(os.path.join(folder, name), "w").write(text)  # noqa: E731
    turn = ""
    if c["relay"]:
        host, at_port = c["relay"]["host"].split(":")
        turn = (f'turn_server = "{host}"\nturn_port = {at_port}\nturn_type = "udp"\nturn_user = "{c["relay"]["username"]}"\n'
                f'turn_pwd = "{c["relay"]["credential"]}"\nturn_rest_api_timeout = 10\n')
    write("janus.jcfg", f'''general: {{ plugins_folder = "{LIBRARY}/plugins" transports_folder = "{LIBRARY}/transports"
        events_folder = "{LIBRARY}/events" loggers_folder = "{LIBRARY}/loggers" debug_level = 3 }}
        nat: {{ {turn} full_trickle = {"false" if c["complete"] else "true"} }}
        plugins: {{ disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_lua.so,libjanus_nosip.so,libjanus_recordplay.so,libjanus_sip.so,libjanus_videocall.so,libjanus_videoroom.so,libjanus_voicemail.so" }}
        transports: {{ disable = "libjanus_http.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so" }}''')
    write("janus.transport.websockets.jcfg", f'general: {{ ws = true ws_port = {at} ws_ip = "127.0.0.1" wss = false }} admin: {{ admin_ws = false }}')


class Janus:
    """The API of Janus: a session with one handle."""

    def __init__(self, socket_, take):
        self.socket, self.take = socket_, take
        self.number, self.waiting = itertools.count(), {}

    async def run(self):
        async for text in self.socket:
            m = json.loads(text)
            done = self.waiting.get(m.get("transaction"))
            if done and m["janus"] != "ack" and not done.done():
                done.set_result(m)
            await self.take(m)

    async def ask(self, **m):
        m["transaction"] = str(next(self.number))
        self.waiting[m["transaction"]] = done = asyncio.get_running_loop().create_future()
        for key in ("session_id", "handle_id"):
            if hasattr(self, key) and m["janus"] != "info":
                m[key] = getattr(self, key)
        await self.socket.send(json.dumps(m))
        return await done

    def send(self, **m):
        m.update(transaction=str(next(self.number)), session_id=self.session_id, handle_id=self.handle_id)
        return self.socket.send(json.dumps(m))

    async def attach(self, plugin):
        self.session_id = (await self.ask(janus="create"))["data"]["id"]
        self.handle_id = (await self.ask(janus="attach", plugin="janus.plugin." + plugin))["data"]["id"]


class Peer:
    def __init__(self, c, wire):
        self.c, self.wire = c, wire

    async def heard(self, m):
        """A message of Janus."""
        if m["janus"] == "webrtcup":
            report(connected=True)
        elif m["janus"] == "media" and m["receiving"]:
            report(**{m["type"] + "_packets": 10})
        elif m["janus"] == "trickle" and "candidate" in m["candidate"]:
            await self.wire.candidate(m["candidate"]["candidate"], m["candidate"]["sdpMLineIndex"], m["candidate"].get("sdpMid"))
        elif "error" in m or "error" in m.get("plugindata", {}).get("data", {}):
            report(error=json.dumps(m))
        if "jsep" in m:
            await self.wire.describe(m["jsep"]["type"], m["jsep"]["sdp"])

    async def handle(self, kind, m):
        """Handles a message of the peer."""
        if kind == "offer":
            codec = {"videocodec": self.c["video"].lower()} if self.c["video"] else {}
            await self.janus.send(janus="message", body={"audio": True, "video": True, **codec}, jsep={"type": "offer", "sdp": m})
        elif kind == "answer":
            await self.janus.send(janus="message", body={"request": "start"}, jsep={"type": "answer", "sdp": m})
        elif kind == "candidate" and m.get("candidate"):
            await self.janus.send(janus="trickle", candidate=m)
        elif kind == "leave":
            report(left=True)

    async def offer(self):
        media, feeds = [], []
        if self.c["audio"]:
            at = port(socket.SOCK_DGRAM)
            media.append({"mid": "a", "type": "audio", "port": at, "pt": 111, "codec": "opus"})
            feeds += ["-map", "0:a", "-c:a", "libopus", "-payload_type", "111", "-f", "rtp", f"rtp://127.0.0.1:{at}"]
        if self.c["video"]:
            at = port(socket.SOCK_DGRAM)
            media.append({"mid": "v", "type": "video", "port": at, "pt": 96, "codec": self.c["video"].lower()})
            feeds += ["-map", "1:v", "-c:v", *ENCODERS[self.c["video"]].split(), "-payload_type", "96", "-strict", "experimental",
                      "-f", "rtp", f"rtp://127.0.0.1:{at}"]
        made = await self.janus.ask(janus="message", body={"request": "create", "type": "rtp", "id": 1, "media": media})
        if "error" in json.dumps(made):
            return report(error=json.dumps(made))
        self.feed = subprocess.Popen(["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-re", "-f", "lavfi",
                                      "-i", "testsrc=size=320x240:rate=15", *feeds], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        await self.janus.send(janus="message", body={"request": "watch", "id": 1})


async def dial(at):
    while True:
        try:
            return await websockets.connect(f"ws://127.0.0.1:{at}", subprotocols=["janus-protocol"], max_size=1 << 20)
        except OSError:
            await asyncio.sleep(0.05)


async def main():
    c = config()
    if c["video"] == "AV1" and c["offers"]:
        return report(cannot="the ffmpeg of Debian feeds no AV1 over RTP")
    if c["data"] and c["offers"]:
        return report(cannot="a Janus that offers opens no data channel, it waits for one; and parley leaves that to who offers")
    with tempfile.TemporaryDirectory() as folder:
        at = port(socket.SOCK_STREAM)
        configure(folder, at, c)
        server = subprocess.Popen(["janus", "-F", folder], stdin=subprocess.DEVNULL, stdout=open(folder + "/log", "w"), stderr=subprocess.STDOUT)
        peer = Peer(c, Wire(c))
        try:
            peer.janus = Janus(await dial(at), peer.heard)
            listening = asyncio.ensure_future(peer.janus.run())
            await peer.janus.attach("streaming" if c["offers"] else "echotest")
            await peer.wire.open()
            report(ready=True, version=(await peer.janus.ask(janus="info"))["version_string"])
            if c["offers"]:
                await peer.offer()
            while not listening.done():
                await peer.handle(*await peer.wire.receive())
        finally:
            server.terminate()
            if hasattr(peer, "feed"):
                peer.feed.terminate()


asyncio.run(main())
