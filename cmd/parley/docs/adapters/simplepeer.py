#!/usr/bin/python3
"""Signaling with simple-peer by a WebSocket that connects the two peers of a room: each message is the data of the event
"signal" as JSON. The name of the peer is of no importance, since a room has no other.

    parley call page --signaling 'exec:./simplepeer.py wss://signal.example.org/room7'

It needs the package websockets (Debian: python3-websockets). "parley help adapters" describes the messages.
"""
import asyncio
import itertools
import json
import sys

import websockets

numbers = itertools.count(1)
call = peer = None


def write(message):
    print(json.dumps(message), flush=True)


def from_signal(data):
    """Writes what the other peer signals."""
    global call, peer
    kind = data.get("type") or ("candidate" if "candidate" in data else "")
    if kind == "offer" and call is None:
        call, peer = f"simple-peer-{next(numbers)}", "simple-peer"
    if kind in ("offer", "answer"):
        write({"type": kind, "call": call, "peer": peer, "sdp": data["sdp"]})
    elif kind == "candidate" and call:
        write({"type": kind, "call": call, "candidate": data["candidate"]})
    elif kind == "leave" and call:
        write({"type": kind, "call": call})
        call = None


async def read_lines(socket):
    """Signals what parley writes."""
    global call, peer
    while line := await asyncio.to_thread(sys.stdin.readline):
        message = json.loads(line)
        kind = message["type"]
        if kind == "offer":
            call, peer = message["call"], message["peer"]
        if kind in ("offer", "answer"):
            await socket.send(json.dumps({"type": kind, "sdp": message["sdp"]}))
        elif kind == "candidate":
            await socket.send(json.dumps({"type": kind, "candidate": message["candidate"]}))
        elif kind == "leave":  # the room ends
            break


async def main():
    await asyncio.to_thread(sys.stdin.readline)  # the login; a room has no names
    async with websockets.connect(sys.argv[1]) as socket:
        write({"type": "ready"})
        lines = asyncio.create_task(read_lines(socket))
        lines.add_done_callback(lambda _: asyncio.create_task(socket.close()))
        async for text in socket:
            from_signal(json.loads(text))
        if call:
            from_signal({"type": "leave"})  # the other peer has left the room
        lines.cancel()

asyncio.run(main())
