#!/usr/bin/env python3
"""PyTorch as a peer of `flame bench`: times the same items the same way, one question a line.

Started by flame_bench (see process.h for the questions); runs alone with a list as well:
    flame_bench --list --json > items.json; pytorch.py items.json > rows.jsonl
Needs a torch with CUDA. Ways: pytorch_eager; pytorch_channels_last for images; pytorch_compile and,
when asked for by name, pytorch_max_autotune (torch.compile without CUDA graphs).
"""

import fnmatch
import gc
import json
import os
import statistics
import sys
import time

torch = None  # imported after stdout is ours alone


def dtype_of(name):
    return getattr(torch, name)


def pair(value):
    return tuple(value) if isinstance(value, list) else value


def dims(attrs):
    d = attrs.get("dim")
    return None if d is None or d == [] else tuple(d) if isinstance(d, list) else d


def typed(attrs):
    return dtype_of(attrs["dtype"]) if attrs.get("dtype") else None


def other(inputs, attrs, name="other"):
    return inputs[1] if inputs[1] is not None else attrs[name]


def amax(x, a):
    d = dims(a)
    return torch.amax(x[0], () if d is None else d, a["keepdim"])


def reduction(f):
    def run(x, a):
        d = dims(a)
        if d is None:
            return f(x[0], dtype=typed(a))
        return f(x[0], d, a["keepdim"], dtype=typed(a))

    return run


def random(a):
    return {"dtype": typed(a), "device": "cuda"}


# Every op of FLAME's manifest that has bench cases, by what a user of torch would write.
def ops():
    f = torch.nn.functional
    return {
        "add": lambda x, a: torch.add(x[0], other(x, a), alpha=a["alpha"]),
        "mul": lambda x, a: torch.mul(x[0], other(x, a)),
        "div": lambda x, a: torch.div(x[0], other(x, a), rounding_mode=a["rounding_mode"] or None),
        "pow": lambda x, a: torch.pow(x[0], other(x, a, "exponent")),
        "where": lambda x, a: torch.where(
            x[0], a["input"] if x[1] is None else x[1], a["other"] if x[2] is None else x[2]
        ),
        "exp": lambda x, a: torch.exp(x[0]),
        "relu": lambda x, a: torch.relu(x[0]),
        "gelu": lambda x, a: f.gelu(x[0], approximate=a["approximate"]),
        "sum": reduction(lambda *p, **k: torch.sum(*p, **k)),
        "mean": reduction(lambda *p, **k: torch.mean(*p, **k)),
        "amax": amax,
        "matmul": lambda x, a: torch.matmul(x[0], x[1]),
        "softmax": lambda x, a: torch.softmax(x[0], a["dim"], dtype=typed(a)),
        "layer_norm": lambda x, a: f.layer_norm(
            x[0], a["normalized_shape"], x[1], x[2], a["eps"]
        ),
        "conv2d": lambda x, a: f.conv2d(
            x[0], x[1], x[2], pair(a["stride"]), pair(a["padding"]), pair(a["dilation"]),
            a["groups"],
        ),
        "max_pool2d": lambda x, a: f.max_pool2d(
            x[0], pair(a["kernel_size"]), pair(a["stride"]) or None, pair(a["padding"]),
            pair(a["dilation"]), a["ceil_mode"],
        ),
        "gather": lambda x, a: torch.gather(x[0], a["dim"], x[1]),
        "cat": lambda x, a: torch.cat(x, a["dim"]),
        "narrow": lambda x, a: torch.narrow(x[0], a["dim"], a["start"], a["length"]),
        "contiguous": lambda x, a: x[0].contiguous(),
        "to": lambda x, a: x[0].to(typed(a)),
        "full": lambda x, a: torch.full(a["size"], a["fill_value"], **random(a)),
        "arange": lambda x, a: torch.arange(a["start"], a["end"], a["step"], **random(a)),
        "rand": lambda x, a: torch.rand(a["size"], **random(a)),
        "randn": lambda x, a: torch.randn(a["size"], **random(a)),
        "randint": lambda x, a: torch.randint(a["low"], a["high"], a["size"], **random(a)),
    }


IMAGES = {"conv2d", "max_pool2d"}


def in_order(x, order):
    """The same values, lying in memory with their dims in this order."""
    if not order:
        return x
    inverse = [order.index(i) for i in range(len(order))]
    return x.permute(order).contiguous().permute(inverse)


def drawn(spec):
    if not spec["defined"]:
        return None
    shape, dtype = spec["shape"], dtype_of(spec["dtype"])
    if spec["domain"] == "indices":
        x = torch.randint(int(spec["low"]), int(spec["high"]), shape, dtype=dtype, device="cuda")
    elif spec["domain"] == "mask":
        x = torch.randint(0, 2, shape, device="cuda").to(dtype)
    else:
        x = torch.randn(shape, dtype=dtype, device="cuda")
    return in_order(x, spec["order"])


class Timer:
    """As flame_bench's DeviceTimer: the device is kept busy while the host queues the work, and the
    cache is displaced by reading, so that what is timed is the device's time on cold data."""

    def __init__(self):
        properties = torch.cuda.get_device_properties(0)
        l2 = getattr(properties, "L2_cache_size", 64 << 20)
        self.buffer = torch.zeros(max(4 * l2, 256 << 20) // 4, device="cuda")
        self.begin = torch.cuda.Event(enable_timing=True)
        self.end = torch.cuda.Event(enable_timing=True)
        self.head_start_us = 30.0

    def time(self, work, cold):
        if not cold:
            work()
        torch.cuda._sleep(int(self.head_start_us * 1900))
        if cold:
            torch.sum(self.buffer)
        self.begin.record()
        queued_from = time.perf_counter()
        work()
        queued_us = (time.perf_counter() - queued_from) * 1e6
        self.end.record()
        self.end.synchronize()
        self.head_start_us = min(max(1.5 * queued_us, 30.0), 5000.0)
        return self.begin.elapsed_time(self.end)


class Way:
    """One way of running one item."""

    def __init__(self, name, function, item, inputs=None, grads=None):
        self.direction = item["direction"]
        channels_last = name == "pytorch_channels_last"
        self.inputs = inputs if inputs is not None else [drawn(s) for s in item["inputs"]]
        if channels_last:
            self.inputs = [
                x.to(memory_format=torch.channels_last) if x is not None and x.dim() == 4 else x
                for x in self.inputs
            ]
        self.wanted = []
        if self.direction != "forward":
            for i, spec in enumerate(item["inputs"]):
                if spec["grad"]:
                    self.inputs[i] = self.inputs[i].detach().requires_grad_()
                    self.wanted.append(self.inputs[i])
        self.function, self.attrs = function, item["attrs"]
        self.output = self.gradient = None
        if self.direction != "forward":
            self.output = self.forward()
            self.gradient = grads[0] if grads else torch.randn_like(self.output)
            if channels_last and self.gradient.dim() == 4:
                self.gradient = self.gradient.to(memory_format=torch.channels_last)
            if self.direction == "forward_backward":
                self.output = None
        self.last = None

    def forward(self):
        return self.function(self.inputs, self.attrs)

    def run(self):
        if self.direction == "forward":
            with torch.no_grad():
                self.last = self.forward()
        elif self.direction == "backward":
            self.last = torch.autograd.grad(
                self.output, self.wanted, self.gradient, retain_graph=True
            )
        else:
            self.last = torch.autograd.grad(self.forward(), self.wanted, self.gradient)

    def results(self, item):
        """One tensor per output, or per input with a gradient; None elsewhere."""
        self.run()
        if self.direction == "forward":
            return [self.last]
        found = iter(self.last)
        return [next(found) if spec["grad"] else None for spec in item["inputs"]]


class Peer:
    def __init__(self):
        self.ops = ops()
        self.timer = Timer()
        self.key = None  # of the compiled functions that are kept
        self.functions = {}
        self.ways = {}
        self.item = None
        self.judged = set()

    def function(self, name, item):
        eager = self.ops[item["op"]]
        if name in ("pytorch_eager", "pytorch_channels_last"):
            return eager
        # One compilation serves both directions that record a graph.
        grad = item["direction"] != "forward"
        key = (item["op"], item["case"], item["dtype"], item["tf32"], grad)
        if key != self.key:
            torch._dynamo.reset()
            self.functions.clear()
            self.key = key
        if name not in self.functions:
            mode = "max-autotune-no-cudagraphs" if name == "pytorch_max_autotune" else "default"
            self.functions[name] = torch.compile(eager, mode=mode, dynamic=False, fullgraph=True)
        return self.functions[name]

    def hello(self, _):
        version = f"{torch.__version__} on {torch.cuda.get_device_name(0)}"
        return {"name": "pytorch", "version": version}

    def set_modes(self, item):
        torch.backends.cuda.matmul.allow_tf32 = item["tf32"]
        torch.backends.cudnn.allow_tf32 = item["tf32"]

    def prepare(self, question):
        item = question["item"]
        self.ways.clear()
        gc.collect()
        torch.cuda.empty_cache()
        self.item = item
        self.set_modes(item)
        names = ["pytorch_eager", "pytorch_compile", "pytorch_max_autotune"]
        if item["op"] in IMAGES:
            names.insert(1, "pytorch_channels_last")
        patterns = question["ways"].split(",")
        left_out = {}
        for name in names:
            # Compiling with autotuning takes minutes: only for who asks for it by name.
            asked = any(fnmatch.fnmatch(name, p) for p in patterns)
            if not asked or (name == "pytorch_max_autotune" and name not in patterns):
                continue
            try:
                if item["op"] not in self.ops:
                    raise KeyError(f"no words for {item['op']}")
                way = Way(name, self.function(name, item), item)
                for _ in range(3):  # compiles, and lets cuDNN choose
                    way.run()
                torch.cuda.synchronize()
                self.ways[name] = way
            except Exception as e:  # a peer's failure is an answer
                left_out[name] = one_line(e)
        return {"ways": list(self.ways), "left_out": left_out}

    def time(self, question):
        way = self.ways[question["way"]]
        cold = question["temperature"] == "cold"
        return {"ms": [self.timer.time(way.run, cold) for _ in range(question["count"])]}

    def judge(self, question):
        item, name = question["item"], question["way"]
        compiled = name in ("pytorch_compile", "pytorch_max_autotune")
        key = (item["op"], item["dtype"], item["tf32"], item["direction"], name)
        if compiled and key in self.judged:
            raise RuntimeError("judged on an earlier case of the op: compiling again takes seconds")
        self.judged.add(key)
        inputs = [load(p, s) for p, s in zip(question["inputs"], item["inputs"])]
        grads = [load(p, s) for p, s in zip(question["grad_outputs"], item["outputs"])]
        function = self.ops[item["op"]]
        if compiled:
            # On its own, so that the functions of the timed item stay.
            function = torch.compile(function, dynamic=False, fullgraph=True)
        results = Way(name, function, item, inputs, grads).results(item)
        out = []
        for i, x in enumerate(results):
            if x is None:
                out.append(None)
                continue
            path = os.path.join(question["folder"], f"result{i}")
            x = x.detach().contiguous().cpu()
            with open(path, "wb") as file:
                file.write(x.reshape(-1).view(torch.uint8).numpy().tobytes() if x.numel() else b"")
            dtype = str(x.dtype).removeprefix("torch.")
            out.append({"file": path, "dtype": dtype, "shape": list(x.shape)})
        return {"results": out}

    def host(self, question):
        a, b = torch.randn(1, device="cuda"), torch.randn(1, device="cuda")
        leaf, g = torch.randn(1, device="cuda", requires_grad=True), torch.randn(1, device="cuda")

        def forward():
            torch.add(a, b)

        def both():
            torch.autograd.grad(torch.add(leaf, b), leaf, g)

        call = forward if question["direction"] == "forward" else both
        calls, out = question["calls"], []
        call()
        for _ in range(question["count"]):
            torch.cuda.synchronize()
            with torch.set_grad_enabled(call is both):
                begin = time.perf_counter()
                for _ in range(calls):
                    call()
                ms = (time.perf_counter() - begin) * 1e3
            torch.cuda.synchronize()
            out.append(ms / calls)
        return {"ms": out}

    def answer(self, question):
        try:
            return getattr(self, question["do"])(question)
        except Exception as e:
            return {"error": one_line(e)}


def one_line(e):
    text = " ".join(str(e).split())
    return f"{type(e).__name__}: {text[:300]}"


def load(path, spec):
    if path is None:
        return None
    with open(path, "rb") as file:
        data = bytearray(file.read())
    dtype = dtype_of(spec["dtype"])
    if not data:
        return torch.empty(spec["shape"], dtype=dtype, device="cuda")
    return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(spec["shape"]).cuda()


def import_torch():
    global torch
    import torch as t
    import torch.nn.functional

    torch = t
    if not torch.cuda.is_available():
        sys.exit("pytorch.py: this torch has no CUDA device")
    torch.backends.cudnn.benchmark = True
    try:
        # Timing backward alone runs one graph again and again.
        import torch._functorch.config

        torch._functorch.config.donated_buffer = False
    except ImportError:
        pass


def rows_of(peer, item):
    """Alone, without anything to compare with."""
    prepared = peer.prepare({"item": item, "ways": "*"})
    for name, reason in prepared["left_out"].items():
        yield {"name": item["name"], "implementation": name, "reason": reason}
    for name, way in peer.ways.items():
        for temperature in ("cold", "hot"):
            ms = [peer.timer.time(way.run, temperature == "cold") for _ in range(21)]
            yield {
                "name": item["name"],
                "implementation": name,
                "temperature": temperature,
                "median_us": statistics.median(ms) * 1e3,
                "times_us": [x * 1e3 for x in ms],
            }


def main():
    # Compilers print; answers must stay alone on what was our stdout.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import_torch()
    peer = Peer()
    if len(sys.argv) > 1:
        with open(sys.argv[1]) as file:
            for item in json.load(file):
                for row in rows_of(peer, item):
                    print(json.dumps(row), file=answers)
        return
    for line in sys.stdin:
        print(json.dumps(peer.answer(json.loads(line))), file=answers)


if __name__ == "__main__":
    main()
