"""GStreamer's webrtcbin as a peer of a test; see wire.py."""
import asyncio
import re
import threading

import gi
import numpy

from wire import Wire, config, pitch, report

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

ENCODERS = {
    "VP8": ("vp8enc deadline=1 keyframe-max-dist=15 ! rtpvp8pay", "VP8", "rtpvp8pay"),
    "VP9": ("vp9enc deadline=1 cpu-used=8 keyframe-max-dist=15 ! rtpvp9pay", "VP9", "rtpvp9pay"),
    "H264": ("x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! video/x-h264,profile=constrained-baseline "
             "! rtph264pay config-interval=-1 aggregate-mode=zero-latency", "H264", "rtph264pay"),
    "AV1": ("av1enc cpu-used=8 ! rtpav1pay", "AV1", "rtpav1pay"),
}


class Peer:
    """One call. All but the wire happens on GLib's main loop."""

    def __init__(self, c, wire, loop):
        self.c, self.wire, self.loop = c, wire, loop
        self.frames = self.packets = 0
        self.pipe = None
        self.heard = numpy.zeros(0, numpy.int16)

    def start(self, offer=""):
        """Builds the pipeline; a payload type is that of the offer, where there is one."""
        self.pipe, self.w = Gst.Pipeline(), Gst.ElementFactory.make("webrtcbin")
        self.w.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.NONE if self.c["apart"] else GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipe.add(self.w)
        if self.c["relay"]:
            self.w.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
        if self.c["relay"]:
            r = self.c["relay"]
            self.w.emit("add-turn-server", f"turn://{r['username'].replace(':', '%3A')}:{r['credential'].replace('/', '%2F').replace('+', '%2B').replace('=', '%3D')}@{r['host']}")
        self.w.connect("on-ice-candidate", self.found)
        self.w.connect("pad-added", self.incoming)
        self.w.connect("on-data-channel", lambda _, channel: self.channel(channel))
        self.w.connect("notify::connection-state", lambda *_: report(
            connected=self.w.get_property("connection-state") == GstWebRTC.WebRTCPeerConnectionState.CONNECTED))
        self.w.connect("notify::ice-gathering-state", self.gathered)
        if self.c["audio"]:
            self.send("audiotestsrc is-live=true freq=440 ! audioconvert ! audioresample ! opusenc ! rtpopuspay", "audio", "OPUS",
                      payload(offer, "opus", 111))
        if self.c["video"]:
            encoder, name, _ = ENCODERS[self.c["video"]]
            self.send("videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1 ! videoconvert ! "
                      + encoder, "video", name, payload(offer, name, 97))
        self.pipe.set_state(Gst.State.PLAYING)

    def send(self, chain, media, name, number):
        chain += f" ! application/x-rtp,media={media},encoding-name={name},payload={number} ! queue"
        source = Gst.parse_bin_from_description(chain, True)
        self.pipe.add(source)
        source.link(self.w)

    def offer(self):
        self.start()
        if self.c["data"]:
            self.channel(self.w.emit("create-data-channel", self.c["label"], None))
        self.w.emit("create-offer", None, Gst.Promise.new_with_change_func(self.described, "offer"))

    def described(self, promise, kind):
        reply = promise.get_reply()  # which owns the description
        d = reply.get_value(kind)
        self.kind, text = kind, d.sdp.as_text()
        self.w.emit("set-local-description", d, Gst.Promise.new())
        if not self.c["complete"]:
            self.put(self.wire.describe(kind, text))

    def gathered(self, *_):
        if self.c["complete"] and self.w.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self.put(self.wire.describe(self.kind, self.w.get_property("local-description").sdp.as_text()))

    def found(self, _, mline, line):
        if not self.c["complete"]:
            self.put(self.wire.candidate(line, mline))

    def put(self, what):
        asyncio.run_coroutine_threadsafe(what, self.loop)

    def take(self, kind, m):
        if kind == "offer":
            if not self.pipe:
                self.start(m)
            self.remote(GstWebRTC.WebRTCSDPType.OFFER, m)
            self.w.emit("create-answer", None, Gst.Promise.new_with_change_func(self.described, "answer"))
        elif kind == "answer":
            self.remote(GstWebRTC.WebRTCSDPType.ANSWER, m)
        elif kind == "candidate" and m.get("candidate"):
            self.w.emit("add-ice-candidate", m.get("sdpMLineIndex") or 0, m["candidate"])
        elif kind == "leave":
            report(left=True)

    def remote(self, kind, sdp):
        _, message = GstSdp.SDPMessage.new_from_text(sdp)
        self.w.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(kind, message), Gst.Promise.new())

    def channel(self, channel):
        channel.connect("on-message-string", lambda _, text: report(text=text))
        if channel.get_property("ready-state") == GstWebRTC.WebRTCDataChannelState.OPEN:
            channel.emit("send-string", "from gstreamer")
        else:
            channel.connect("on-open", lambda *_: channel.emit("send-string", "from gstreamer"))

    def incoming(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        media = pad.get_current_caps().get_structure(0).get_string("media")
        sink = ("audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1" if media == "audio"
                else "videoconvert ! video/x-raw,format=I420")
        decoder = Gst.ElementFactory.make("decodebin")
        tail = Gst.parse_bin_from_description(f"{sink} ! appsink name=out emit-signals=true sync=false", True)
        tail.get_by_name("out").connect("new-sample", self.heard_some if media == "audio" else self.seen_one)
        decoder.connect("pad-added", lambda _, decoded: decoded.link(tail.get_static_pad("sink")))
        for element in (decoder, tail):
            self.pipe.add(element)
            element.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def heard_some(self, sink):
        buffer = sink.emit("pull-sample").get_buffer()
        samples = numpy.frombuffer(buffer.extract_dup(0, buffer.get_size()), numpy.int16)
        self.packets += 1
        self.heard = numpy.concatenate([self.heard, samples])[-24000:]
        if self.packets % 25 == 0:
            report(audio_packets=self.packets, tone=pitch(self.heard, 48000))
        return Gst.FlowReturn.OK

    def seen_one(self, sink):
        shape = sink.emit("pull-sample").get_caps().get_structure(0)
        self.frames += 1
        if self.frames % 5 == 0:
            report(frames=self.frames, size=f"{shape.get_int('width')[1]}x{shape.get_int('height')[1]}")
        return Gst.FlowReturn.OK


def payload(offer, name, default):
    """The payload type of a codec in an offer; of H.264, one in mode 1 with the constrained baseline profile."""
    types = re.findall(rf"a=rtpmap:(\d+) {name}/", offer, re.I)
    for t in types:
        if name != "H264" or re.search(rf"a=fmtp:{t} .*packetization-mode=1.*42e01f|a=fmtp:{t} .*42e01f.*packetization-mode=1", offer):
            return t
    return types[0] if types else default


def lacking(c):
    """Why this GStreamer has not got what is asked for."""
    if c["video"] and not Gst.ElementFactory.find(ENCODERS[c["video"]][2]):
        return f"GStreamer {Gst.VERSION_MAJOR}.{Gst.VERSION_MINOR} of Debian has no {ENCODERS[c['video']][2]}"
    return ""


async def main():
    Gst.init(None)
    c = config()
    if lacking(c):
        return report(cannot=lacking(c))
    wire = Wire(c)
    await wire.open()
    peer = Peer(c, wire, asyncio.get_running_loop())
    threading.Thread(target=GLib.MainLoop().run, daemon=True).start()
    report(ready=True, version=f"{Gst.VERSION_MAJOR}.{Gst.VERSION_MINOR}.{Gst.VERSION_MICRO}")
    if c["offers"]:
        GLib.idle_add(peer.offer)
    while True:
        GLib.idle_add(peer.take, *await wire.receive())


asyncio.run(main())
