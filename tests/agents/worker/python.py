"""An agent that does what its event says, for tests."""

import json
import os
import random
import socket
import sys
import time
import uuid

from wit_world.imports import http, kv, log, memory


class WitWorld:
    def handle(self, event):
        event = json.loads(event)
        return json.dumps(globals()[event["do"]](**event.get("with", {})))


def echo(**given):
    return given


def say(text):
    print(text)
    print(text, file=sys.stderr)
    log.write(log.Level.DEBUG, text)
    sys.stdout.write("unfinished")


def surroundings():
    reached = {}
    for name, act in {
        "file": lambda: os.open("/etc/passwd", os.O_RDONLY),
        "made": lambda: os.open("made", os.O_CREAT),
        "folder": lambda: os.listdir("/"),
        "socket": lambda: socket.socket().connect(("127.0.0.1", 80)),
    }.items():
        try:
            reached[name] = str(act())
        except (OSError, NotImplementedError) as error:
            reached[name] = type(error).__name__
    return {"argv": sys.argv, "environ": dict(os.environ), "reached": reached}


def clocks(asks, nap=0.0):
    seen = []
    for _ in range(asks):
        seen.append([time.time(), time.monotonic(), random.random(), os.urandom(5).hex()])
        seen.append(kv.get(kv.Scope.AGENT, str(uuid.uuid4())))
        time.sleep(nap)
    return seen


def values():
    request = http.Request("GET", "http://x/ä", [("a", "b"), ("c", "")], None)
    answer = http.send(request)
    hits = memory.search("notes", "what?", 3)
    kv.set(kv.Scope.CONVERSATION, "key", "value")
    return {
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "hits": [[hit.id, hit.text, hit.score] for hit in hits],
        "none": kv.get(kv.Scope.AGENT, "missing"),
        "keys": kv.keys(kv.Scope.AGENT, ""),
    }


def error():
    try:
        kv.get(kv.Scope.AGENT, "key")
    except Exception as error:
        return [error.value.code, error.value.message]


def nap(seconds):
    before = time.time()
    time.sleep(seconds)
    return time.time() - before


def raises():
    raise ValueError("on purpose")


def deep(depth):
    return depth and deep(depth - 1) + 1


def allocate(nbytes):
    return len(bytearray(nbytes))


def leave():
    sys.exit(3)
