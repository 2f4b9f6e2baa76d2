#!/usr/bin/env python3
"""PyTorch as a peer of `flame bench`: times the same items the same way, one question a line.

Started by flame_bench (see process.h for the questions); runs alone with a list as well:
    flame_bench --list --json > items.json; pytorch.py items.json > rows.jsonl
    pytorch.py --warm items.json      compiles them ahead, in several processes
Needs a torch with CUDA. Ways: pytorch_eager; pytorch_channels_last for images; pytorch_compile and,
when asked for by name, pytorch_max_autotune (torch.compile without CUDA graphs).
"""

import fnmatch
import gc
import json
import math
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pytorch_items  # noqa: E402
from pytorch_items import Timer, Way, call_of, load  # noqa: E402

torch = None  # imported after stdout is ours alone


IMAGES = {"conv2d", "max_pool2d"}
DEFAULT = {"dynamic": False, "fullgraph": True}  # of torch.compile
COMPILED = {"pytorch_compile", "pytorch_max_autotune"}


# Of the rate of a copy of as many bytes, from which on there is nothing left for compiling.
AT_THE_ROOF = 0.9
MOST_KEPT = 16 << 30  # bytes of device memory that are not worth looking for garbage


class Peer:
    def __init__(self):
        self.timer = Timer()
        self.key = None  # of the compiled functions that are kept
        self.functions = {}
        self.ways = {}
        self.judged = set()
        self.compile_seconds = math.inf  # that this run may still spend on compiling
        self.compile_cost = 0.0  # of the last one
        self.copies = {}  # bytes moved: milliseconds

    def ms_of_copy(self, moved):
        """Of as many bytes: a small copy is far from a large one's rate, and so is everything else."""
        if moved not in self.copies:
            x = torch.ones(max(1, int(moved) // 8), device="cuda")
            y = torch.empty_like(x)
            self.copies[moved] = min(self.timer.time(lambda: y.copy_(x), True) for _ in range(7))
        return self.copies[moved]

    def function(self, name, item):
        eager = call_of(item)
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
            how = dict(DEFAULT)
            if name == "pytorch_max_autotune":
                how["mode"] = "max-autotune-no-cudagraphs"
            self.functions[name] = torch.compile(eager, **how)
        return self.functions[name]

    def hello(self, question):
        self.compile_seconds = question.get("compile_seconds") or math.inf
        version = f"{torch.__version__} on {torch.cuda.get_device_name(0)}"
        return {"name": "pytorch", "version": version}

    def set_modes(self, item):
        torch.backends.cuda.matmul.allow_tf32 = item["tf32"]
        torch.backends.cudnn.allow_tf32 = item["tf32"]

    def needless(self, question):
        """Why compiling the item by default cannot matter; None where it can."""
        moved = question["bytes"]
        eager = self.ways.get("pytorch_eager")
        if not question["item"]["inputs"]:
            return "it only makes values: compiled they are others"
        if question["item"]["product"]:
            return "compiled it calls the same library's product"
        if eager is not None and any(d["view"] for d in eager.deliveries()):
            return "eager passes a view on: there is nothing to compile but its forward"
        if eager is not None and moved > 0:
            ms = min(self.timer.time(eager.run, True) for _ in range(5))
            share = self.ms_of_copy(moved) / ms
            if share >= AT_THE_ROOF:
                return (f"eager is at {share * 100:.0f} % of a copy of as many bytes: nothing is left "
                        "for compiling")
        if self.compile_seconds < self.compile_cost:
            return "the seconds for compiling are spent"
        return None

    def names(self, question):
        patterns = question["ways"].split(",")
        names = ["pytorch_eager", "pytorch_compile", "pytorch_max_autotune"]
        if question["item"]["op"] in IMAGES:
            names.insert(1, "pytorch_channels_last")
        for name in names:
            if not any(fnmatch.fnmatch(name, p) for p in patterns):
                continue
            # Compiling with autotuning takes minutes: only for who asks for it by name.
            if name != "pytorch_max_autotune" or name in patterns:
                yield name, name in patterns

    def make_room(self):
        """Collecting takes a tenth of a second: only where there is much to gain."""
        self.ways.clear()
        if torch.cuda.memory_reserved() > MOST_KEPT:
            gc.collect()
            torch.cuda.empty_cache()

    def prepare(self, question):
        item = question["item"]
        self.make_room()
        self.set_modes(item)
        left_out, deliveries = {}, {}
        for name, by_name in self.names(question):
            compiled = name in COMPILED
            why = self.needless(question) if compiled and not by_name else None
            if why:
                left_out[name] = why
                continue
            begin = time.perf_counter()
            try:
                way = Way(name, self.function(name, item), item)
                for _ in range(3):  # compiles, and lets cuDNN choose
                    way.run()
                torch.cuda.synchronize()
                self.ways[name] = way
                deliveries[name] = way.deliveries()
            except Exception as e:  # a peer's failure is an answer
                left_out[name] = one_line(e)
            if compiled:
                self.compile_cost = time.perf_counter() - begin
                self.compile_seconds -= self.compile_cost
        return {"ways": list(self.ways), "left_out": left_out, "deliveries": deliveries}

    def time(self, question):
        way = self.ways[question["way"]]
        cold = question["temperature"] == "cold"
        return {"ms": [self.timer.time(way.run, cold) for _ in range(question["count"])]}

    def judge_once(self, name, item):
        """Compiling for the judge's case takes seconds: a compiled way is judged once of a kind."""
        key = (name, *kind_of(item))
        if key in self.judged:
            raise RuntimeError("judged on an earlier case of the op")
        if self.compile_seconds < self.compile_cost:
            raise RuntimeError("not judged: the seconds for compiling are spent")
        self.judged.add(key)

    def judge(self, question):
        begin = time.perf_counter()
        answer = self.judged_results(question)
        if question["way"] in COMPILED:
            self.compile_seconds -= time.perf_counter() - begin
        return answer

    def judged_results(self, question):
        item, name = question["item"], question["way"]
        compiled = name in COMPILED
        if compiled:
            self.judge_once(name, item)
        inputs = [load(p, s) for p, s in zip(question["inputs"], item["inputs"])]
        grads = [load(p, s) for p, s in zip(question["grad_outputs"], item["outputs"])]
        function = call_of(item)
        if compiled:
            # On its own, so that the functions of the timed item stay.
            function = torch.compile(function, **DEFAULT)
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


def import_torch():
    global torch
    import torch as t
    import torch.nn.functional

    torch = pytorch_items.torch = t
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


def kind_of(item):
    """Compiling for backward alone is compiling for both."""
    return (item["op"], item["dtype"], item["tf32"], item["direction"] != "forward")


def warm(path, part, parts):
    """Compiles every parts-th item once: what torch keeps on disk spares the run the waiting."""
    with open(path) as file:
        items = json.load(file)
    worth = [
        item
        for item in items
        if item["inputs"] and item["direction"] != "backward" and not item["product"]
    ]
    judged = {}  # the judge's cases, one of a kind
    for item in worth:
        judged.setdefault(kind_of(item), item["judged"])
    for item in [*worth, *judged.values()][part::parts]:
        torch._dynamo.reset()
        try:
            Way("pytorch_compile", torch.compile(call_of(item), **DEFAULT), item).run()
        except Exception as e:  # it will be said again, on its row
            print(f"{item['name']}: {one_line(e)}", file=sys.stderr)
        torch.cuda.empty_cache()


def warm_all(path):
    """In as many processes as half the processors, each with some of the device's memory."""
    parts = max(1, (os.cpu_count() or 2) // 2)
    begin = time.perf_counter()
    children = [
        subprocess.Popen([sys.executable, __file__, "--warm-part", path, str(part), str(parts)])
        for part in range(parts)
    ]
    failed = sum(child.wait() != 0 for child in children)
    seconds = time.perf_counter() - begin
    print(f"torch.compile: warmed in {seconds:.0f} s by {parts} processes, {failed} of which failed",
          file=sys.stderr)


def main():
    if sys.argv[1:2] == ["--warm"]:
        return warm_all(sys.argv[2])
    # Compilers print; answers must stay alone on what was our stdout.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import_torch()
    if sys.argv[1:2] == ["--warm-part"]:
        warm(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
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
