#!/usr/bin/python3
"""Signaling by MQTT: each peer subscribes to parley/NAME, to which the others publish.

    parley answer --as bob --signaling 'exec:./mqtt.py broker.example.org'
    parley call bob --signaling 'exec:./mqtt.py broker.example.org'

It needs paho-mqtt 1 (Debian: python3-paho-mqtt). "parley help adapters" describes the messages.
"""
import json
import os
import sys
from urllib.parse import quote

import paho.mqtt.client as mqtt


def topic(name):
    return "parley/" + quote(name, safe="")


def write(message):
    print(json.dumps(message), flush=True)


me = json.loads(sys.stdin.readline())["name"]
client = mqtt.Client()
client.on_connect = lambda *_: client.subscribe(topic(me), qos=2)
client.on_subscribe = lambda *_: write({"type": "ready"})
client.on_message = lambda _client, _data, packet: write(json.loads(packet.payload))
client.on_disconnect = lambda *_: os._exit(1)  # the signaling is lost
client.connect(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1883)
client.loop_start()
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "error":  # parley shows its errors
        continue
    # Exactly once: parley reports an answer that comes twice.
    sent = client.publish(topic(message["peer"]), json.dumps({**message, "peer": me}), qos=2)
    sent.wait_for_publish()
client.on_disconnect = None
client.disconnect()
