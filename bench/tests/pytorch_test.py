#!/usr/bin/env python3
"""pytorch_items.py without PyTorch: every item of the plan becomes one call with FLAME's own names.

    pytorch_test.py FLAME_BENCH

With a torch installed it is also asked whether it has a function of every op's name.
"""

import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "peers"))

import pytorch_items  # noqa: E402

ITEMS = []


class Namespace:
    """Has every name; calling one gives what it was called with."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: (name, args, kwargs)


class FakeTorch(Namespace):
    def __init__(self):
        self.nn = Namespace()
        self.nn.functional = Namespace()
        self.Tensor = Namespace()
        self.float32, self.bfloat16, self.int64 = "torch.float32", "torch.bfloat16", "torch.int64"


class CallTest(unittest.TestCase):
    def setUp(self):
        self.peer = pytorch_items
        self.peer.torch = FakeTorch()

    def called(self, item):
        inputs = [f"x{i}" if s["defined"] else None for i, s in enumerate(item["inputs"])]
        return inputs, self.peer.call_of(item)(inputs)

    def test_every_item_is_a_call_by_its_own_name(self):
        self.assertGreater(len(ITEMS), 300)
        for item in ITEMS:
            _, (name, _, _) = self.called(item)
            self.assertEqual(name, item["op"])

    def test_every_input_is_passed_once_and_under_its_name(self):
        for item in ITEMS:
            inputs, (_, args, kwargs) = self.called(item)
            passed = []
            for x in args:
                passed += x if isinstance(x, list) else [x]
            passed += [kwargs[s["name"]] for s in item["inputs"][1:] if s["name"] in kwargs]
            self.assertEqual(passed, [x for x in inputs if x is not None], item["name"])

    def test_every_attribute_that_says_something_is_passed(self):
        for item in ITEMS:
            _, (_, _, kwargs) = self.called(item)
            for name, value in item["attrs"].items():
                if name in ("seed", "offset") or self.peer.says_nothing(value):
                    self.assertNotIn(name, kwargs, item["name"])
                elif name == "dtype":
                    self.assertEqual(kwargs[name], "torch." + value)
                else:
                    want = tuple(value) if isinstance(value, list) else value
                    self.assertEqual(kwargs[name], want, item["name"])

    def test_zero_says_something(self):
        for value in (None, False, "", []):
            self.assertTrue(self.peer.says_nothing(value), value)
        for value in (0, 0.0, True, [0], "none"):
            self.assertFalse(self.peer.says_nothing(value), value)

    def test_an_unknown_name_is_said(self):
        class Nothing:
            pass

        self.peer.torch = Nothing()
        self.peer.torch.nn = Nothing()
        self.peer.torch.nn.functional = self.peer.torch.Tensor = Nothing()
        with self.assertRaisesRegex(KeyError, "sigmoid"):
            self.peer.function_named("sigmoid")

    def test_the_real_one_has_every_name(self):
        try:
            import torch
            import torch.nn.functional  # noqa: F401
        except ImportError:
            self.skipTest("no torch here: its names are asked for where one is")
        self.peer.torch = torch
        for op in {item["op"] for item in ITEMS}:
            self.assertTrue(callable(self.peer.function_named(op)), op)


class Storage:
    def __init__(self, at, size):
        self.at, self.size = at, size

    def data_ptr(self):
        return self.at

    def nbytes(self):
        return self.size


class Result:
    """Four-byte elements somewhere in a storage."""

    def __init__(self, elements, storage):
        self.elements, self.storage = elements, storage

    def numel(self):
        return self.elements

    def element_size(self):
        return 4

    def untyped_storage(self):
        return self.storage


class DeliveryTest(unittest.TestCase):
    def deliveries(self, results):
        way = pytorch_items.Way.__new__(pytorch_items.Way)
        way.direction = "backward"
        way.inputs, way.gradient, way.output = [None], Result(8, Storage(1, 32)), None
        way.last = results
        return [(d["written"], d["view"]) for d in way.deliveries()]

    def test_what_was_written_and_what_was_passed_on(self):
        own, passed_on = Result(8, Storage(2, 32)), Result(8, Storage(1, 32))
        spread = Result(8, Storage(3, 4))
        self.assertEqual(
            self.deliveries([own, passed_on, spread]), [(32, False), (0, True), (4, True)]
        )

    def test_halves_of_one_storage_are_written_and_the_same_twice_is_not(self):
        halves = Storage(2, 32)
        self.assertEqual(
            self.deliveries([Result(4, halves), Result(4, halves)]), [(16, False), (16, False)]
        )
        whole = Storage(3, 32)
        self.assertEqual(
            self.deliveries([Result(8, whole), Result(8, whole)]), [(32, False), (0, True)]
        )


if __name__ == "__main__":
    program = sys.argv.pop(1)
    ITEMS = json.loads(subprocess.check_output([program, "--list", "--json"]))
    unittest.main()
