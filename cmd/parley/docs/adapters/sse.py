#!/usr/bin/python3
"""Signaling by Server-Sent Events: GET URL/NAME streams the messages for NAME, POST URL/NAME sends one.

    parley call bob --signaling 'exec:./sse.py https://signal.example.org/rooms'

It needs nothing but Python. "parley help adapters" describes the messages.
"""
import json
import os
import sys
import threading
import urllib.error
import urllib.request
from urllib.parse import quote

url, me = sys.argv[1].rstrip("/"), json.loads(sys.stdin.readline())["name"]


def write(message):
    print(json.dumps(message), flush=True)


def post(message):
    request = urllib.request.Request(f"{url}/{quote(message['peer'], safe='')}", json.dumps({**message, "peer": me}).encode(),
                                     {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except urllib.error.HTTPError as error:
        if error.code == 404 and message["type"] == "offer":
            write({"type": "error", "call": message["call"], "code": "absent", "text": f"{message['peer']} is not there"})


def send():
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] != "error":  # parley shows its errors
            post(message)
    os._exit(0)  # the stream would be read on


stream = urllib.request.urlopen(urllib.request.Request(f"{url}/{quote(me, safe='')}", headers={"Accept": "text/event-stream"}))
write({"type": "ready"})
threading.Thread(target=send, daemon=True).start()
for line in stream:
    if line.startswith(b"data:"):
        write(json.loads(line[5:]))
sys.exit("the event stream has ended")
