#!/usr/bin/python3
"""A client in another language, with pyzmq and msgpack alone: submits a job and waits for its end.

  client.py ENDPOINT KIND ['{"param": 1}'] [FILE ...]
  client.py tcp://127.0.0.1:7750 box '{"width_mm": 80}'

Prints the values of the result and writes its files beside; exit code 0 when the job is done.
Messages: docs/protocol.md.
"""
import io, json, os, sys
import msgpack, zmq

ENDPOINT, KIND = sys.argv[1:3]
PARAMS = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
FILES = [(os.path.basename(path), open(path, "rb").read()) for path in sys.argv[4:]]
front = zmq.Context().socket(zmq.DEALER)
front.setsockopt(zmq.LINGER, 0)
front.setsockopt(zmq.RCVTIMEO, 60_000)
front.connect(ENDPOINT)

def send(header, params={}, blobs=()):
    if blobs:
        header["B"] = len(blobs)
    front.send_multipart([b"T1", msgpack.packb(header), msgpack.packb(params), *blobs])

def receive():
    """The messages of the next envelope: (header, params, blobs)."""
    frames = front.recv_multipart()
    headers, params = (list(msgpack.Unpacker(io.BytesIO(f))) for f in frames[1:3])
    blobs = iter(frames[3:])
    return [(h, p, [next(blobs) for _ in range(h.get("B", 0))]) for h, p in zip(headers, params)]

def fetch(file, blobs):
    """Small files come along; larger ones are asked for in pieces."""
    if "d" not in file:
        return blobs[file["i"]]
    data = b""
    while len(data) < file["b"]:
        send({"t": "get", "r": 3, "d": file["d"], "o": len(data), "l": 1 << 20})
        data += next(b[0] for h, _, b in receive() if h["t"] == "reply" and h["r"] == 3)
    return data

send({"t": "hello", "r": 1, "client": "client.py"})
inputs = [{"n": name, "b": len(data), "i": i} for i, (name, data) in enumerate(FILES)]
send({"t": "submit", "r": 2, "kind": KIND, "in": inputs}, PARAMS, [data for _, data in FILES])
while True:
    for header, params, blobs in receive():
        if header["t"] == "error":
            sys.exit(f"{header['code']} {header.get('field', '')}: {header['msg']}")
        if header["t"] == "accepted":
            send({"t": "watch", "r": 4, "ids": [header["id"]], "since": header["seq"]})
        if header["t"] == "event" and header["w"] in ("done", "failed", "cancelled", "expired"):
            print(header["w"], json.dumps(params), header.get("msg", ""))
            for file in header.get("files", []):
                open(os.path.basename(file["n"]), "wb").write(fetch(file, blobs))
                print(file["n"], file["b"], "bytes")
            sys.exit(header["w"] != "done")
