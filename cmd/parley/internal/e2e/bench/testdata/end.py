"""One end of a call between two aiortc processes, for make bench-media.

end.py send SOCKET FILE copy|vp8|h264    sends FILE, as it is or encoded, over and over
end.py take SOCKET [FILE]                decodes what comes, or records it to FILE (which decodes it, and encodes it again)
"""
import asyncio
import os
import sys

from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole, MediaPlayer, MediaRecorder
from aiortc.contrib.signaling import UnixSocketSignaling


def connection():
    pc = RTCPeerConnection()

    @pc.on("connectionstatechange")
    def report():
        print(pc.connectionState, flush=True)

    return pc


async def send(path, file, codec):
    pc = connection()
    player = MediaPlayer(file, loop=True, decode=codec != "copy")
    pc.addTrack(player.video)
    mime = "video/" + ("VP8" if codec == "copy" else codec.upper())
    all = RTCRtpSender.getCapabilities("video").codecs
    pc.getTransceivers()[0].setCodecPreferences([c for c in all if c.mimeType == mime])
    signaling = UnixSocketSignaling(path)
    await pc.setLocalDescription(await pc.createOffer())
    await signaling.send(pc.localDescription)
    await pc.setRemoteDescription(await signaling.receive())
    await asyncio.Event().wait()


async def take(path, file=None):
    pc = connection()
    sink = MediaRecorder(file) if file else MediaBlackhole()
    pc.on("track", sink.addTrack)
    signaling = UnixSocketSignaling(path)
    while not os.path.exists(path):  # the other end makes it
        await asyncio.sleep(0.05)
    await pc.setRemoteDescription(await signaling.receive())
    await pc.setLocalDescription(await pc.createAnswer())
    await signaling.send(pc.localDescription)
    await sink.start()
    await asyncio.Event().wait()


asyncio.run({"send": send, "take": take}[sys.argv[1]](*sys.argv[2:]))
