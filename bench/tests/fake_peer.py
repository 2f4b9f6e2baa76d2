#!/usr/bin/env python3
"""A peer without a GPU, for the tests: answers as process.h says, adds two float32 tensors, and
misbehaves as asked: wrong, dies, silent, nonsense; view: its results are views, it says."""
import array
import json
import sys
import time

mode = sys.argv[1] if len(sys.argv) > 1 else ""


def read(path):
    values = array.array("f")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return values


def judge(q):
    x, y = (read(p) for p in q["inputs"])
    out = array.array("f", [x[i] + y[i % len(y)] for i in range(len(x))])
    if mode == "wrong":
        out[0] += 1e-3
    path = q["folder"] + "/result"
    with open(path, "wb") as file:
        file.write(out.tobytes())
    shape = q["item"]["outputs"][0]["shape"]
    return {"results": [{"file": path, "dtype": "float32", "shape": shape}]}


def answer(q):
    do = q["do"]
    if do == "hello":
        return {"name": "fake", "version": "1"}
    if do == "prepare":
        if mode == "dies":
            sys.exit(3)
        out = {"ways": ["fake_eager"], "left_out": {"fake_compile": "cannot compile"}}
        if mode == "view":
            out["deliveries"] = {"fake_eager": [{"written": 0, "view": True}] * 2}
        return out
    if do == "time" and mode == "silent":
        time.sleep(60)
    if do == "time" and mode == "nonsense":
        return {"milliseconds": 1}
    if do in ("time", "host"):
        return {"ms": [0.25] * q["count"]}
    return judge(q)


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
