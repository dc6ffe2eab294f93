#!/usr/bin/python3
"""A stage in another language, with pyzmq and msgpack alone: `count` counts the bytes of its files.

  stage.py RUN_DIR     RUN_DIR: where a front on this host has its sockets

It binds a lane, says hello, answers each Work with a Done, lists what it holds in its beats, and
keeps a result until the front says that it is settled. Messages: docs/protocol.md.
"""
import io, os, secrets, socket, sys, time
import msgpack, zmq

RUN, NAME = sys.argv[1], "counter-" + secrets.token_hex(6)
LANE = f"ipc://{RUN}/lane-{NAME}-1"
KIND = {"name": "count", "route": ["counter"], "help": "Counts bytes.", "params": [],
        "inputs_min": 0, "inputs_max": 8}
context = zmq.Context()
lane, control, results = (context.socket(t) for t in (zmq.PULL, zmq.DEALER, zmq.PUSH))
control.setsockopt(zmq.ROUTING_ID, NAME.encode())
for s in (control, results):
    s.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a front that is away
lane.bind(LANE)
control.connect(f"ipc://{RUN}/control.sock")
results.connect(f"ipc://{RUN}/results.sock")
phases, kept, epoch, beat_at = {}, {}, None, 0.0  # by token: phase; its Done

def items(frames):
    """The messages of an envelope: (header, params, blobs)."""
    headers, params = (list(msgpack.Unpacker(io.BytesIO(f))) for f in frames[1:3])
    blobs = iter(frames[3:])
    return [(h, p, [next(blobs) for _ in range(h.get("B", 0))]) for h, p in zip(headers, params)]

def send(to, header, params={}):
    try:
        to.send_multipart([b"T1", msgpack.packb(header), msgpack.packb(params)], zmq.DONTWAIT)
    except zmq.Again:
        pass  # a later beat or hello heals it

def held():
    return [[*token, phase] for token, phase in phases.items()]

def hello():
    boot = open("/proc/sys/kernel/random/boot_id").read().strip()
    send(control, {"t": "worker_hello", "inc": NAME, "stage": "counter", "boot": boot,
                   "host": socket.gethostname(), "pid": os.getpid(), "ep": LANE,
                   "pns": os.readlink("/proc/self/ns/pid"), "lj": 8, "lb": 64 << 20, "lu": 64},
         {"held": held(), "kinds": [KIND]})

def work(header, blobs, received):
    token = tuple(header["k"].get(key, 0) for key in "jea")
    if token in phases:
        return
    hop = header["hops"][-1]
    hop.update(st="counter", w=NAME, re=received, sa=time.monotonic_ns())
    count = sum(len(blobs[f["i"]]) if "i" in f else f["b"] for f in header.get("in", []))
    hop["fi"] = hop["ha"] = time.monotonic_ns()
    kept[token] = ({"t": "done", "k": header["k"], "w": NAME, "o": "ok", "hops": header["hops"]},
                   {"bytes": count})
    phases[token] = 2  # 0 received, 1 started, 2 finished
    send(results, *kept[token])

while True:
    for s in zmq.select([lane, control], [], [], 0.1)[0]:
        received = time.monotonic_ns()
        for header, params, blobs in items(s.recv_multipart()):
            if header["t"] == "work":
                work(header, blobs, received)
            elif header["t"] == "worker_welcome" and header["epoch"] != epoch:
                epoch = header["epoch"]
                hello()  # another front, or the first: it shall know all that is held
            for verdict in header.get("v", []) if header["t"] == "tell" else []:
                token = tuple(verdict["k"].get(key, 0) for key in "jea")
                if verdict["w"] in ("settled", "void"):
                    phases.pop(token, None), kept.pop(token, None)
                elif verdict["w"] == "keep" and token in kept:
                    send(results, *kept[token])
    if time.monotonic() - beat_at >= 0.4:
        beat_at = time.monotonic()
        if epoch is None:
            hello()
        send(control, {"t": "beat", "inc": NAME, "ns": time.monotonic_ns()}, {"held": held()})
