"""What pytorch.py times: FLAME's items as calls of torch, their inputs, a timer, ways of running."""

import time

torch = None  # set by pytorch.py, once it has been imported


def dtype_of(name):
    return getattr(torch, name)


# FLAME's names, arguments and defaults are PyTorch's, so an op needs no words here: it is the
# function or the tensor method of its name. What differs:
NO_ARGUMENTS = {"seed", "offset"}  # of FLAME's generator; torch has one of its own


def function_named(op):
    for home in (torch.nn.functional, torch, torch.Tensor):
        if hasattr(home, op):
            return getattr(home, op)
    raise KeyError(f"torch has nothing that is called {op}")


def constant(name, value):
    if name == "dtype":
        return dtype_of(value)
    return tuple(value) if isinstance(value, list) else value


def says_nothing(value):
    return value is None or value is False or value in ("", [])  # 0 says something


def call_of(item):
    """The item's op as a function of its list of inputs. What is empty or false is left out: both
    sides have the same default for it."""
    function = function_named(item["op"])
    given = {}  # by name, in the order of the parameters; a list parameter has many
    for i, spec in enumerate(item["inputs"]):
        if spec["defined"]:
            given.setdefault((spec["name"], spec["list"]), []).append(i)
    constants = {
        name: constant(name, value)
        for name, value in item["attrs"].items()
        if name not in NO_ARGUMENTS and not says_nothing(value)
    }
    if not given:
        return lambda inputs: function(device="cuda", **constants)
    (first, first_is_list), at = next(iter(given.items()))
    rest = [(name, i[0]) for (name, _), i in list(given.items())[1:]]

    def call(inputs):
        subject = [inputs[i] for i in at] if first_is_list else inputs[at[0]]
        return function(subject, **{name: inputs[i] for name, i in rest}, **constants)

    return call


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
        self.name = name
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
        self.function = function
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
        return self.function(self.inputs)

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

    def deliveries(self):
        """Of each result the bytes that were written for it alone. What lies in a tensor that was
        given (a gradient passed on), or is spread from less (expanded), is a view."""
        given = [x for x in [*self.inputs, self.gradient, self.output] if x is not None]
        room = {x.untyped_storage().data_ptr(): 0 for x in given}
        out = []
        for x in [self.last] if self.direction == "forward" else self.last:
            storage = x.untyped_storage()
            due = x.numel() * x.element_size()
            own = min(due, room.setdefault(storage.data_ptr(), storage.nbytes()))
            room[storage.data_ptr()] -= own
            out.append({"written": own, "view": own < due})
        return out


def load(path, spec):
    if path is None:
        return None
    with open(path, "rb") as file:
        data = bytearray(file.read())
    dtype = dtype_of(spec["dtype"])
    if not data:
        return torch.empty(spec["shape"], dtype=dtype, device="cuda")
    return torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(spec["shape"]).cuda()
