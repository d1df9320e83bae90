"""A clock that watches a training step: the seconds of each layer, forward and backward, and of the rest.

It is read where torch passes from one layer to the next and stands still while it is read, so that each
moment of a step belongs to exactly one part.
"""

from __future__ import annotations

import time
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves

from striate import taps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

    from striate.data.batches import Batch

STEPS, WARM = 10, 2  # watched, and before the first of them
SECONDS, FEWEST = 15.0, 3  # no further step after this time, but so many at least

Part = tuple[str, str]  # data, rest, forward, loss, backward or update; the layer's name


class Watch:
    """Reads the clock at the borders between the parts of a step.

    model: whose layers are told apart.   whole: it is one layer, whatever is inside it.
    parts: the seconds of each part since `start`; they add up to the time since then, without what the
    reading itself took.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, whole: bool = False) -> None:
        self.model, self.device, self.whole = model, device, whole
        self.parts: dict[Part, float] = {}
        self._inside: list[str] = []
        self._outside = "rest"  # the part outside of every layer, on the way forward
        self._seen: set[Any] = set()  # nodes of the backward graph
        self._hooks: list[Any] = []
        self._last = 0.0

    def now(self) -> float:
        """Read the clock, when the device has done what was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def start(self) -> None:
        """Begin a step."""
        self.parts, self._outside = defaultdict(float), "rest"
        self._last = self.now()

    def mark(self, part: str, layer: str = "") -> None:
        """Count the time since the last border to a part."""
        self.parts[part, layer] += self.now() - self._last
        self._last = self.now()

    @contextmanager
    def layers(self) -> Iterator[None]:
        """Listen to the network's layers inside a block, which is left as it was."""
        try:
            with taps.calls(self.model, self._enter, self._leave):
                yield
        finally:
            for hook in self._hooks:  # nodes that add gradients up live on into the next step
                hook.remove()
            self._hooks.clear()
            self._seen.clear()
            self._inside.clear()

    def _enter(self, call: taps.Call) -> None:
        if self.whole and self._inside:
            return
        self._border()
        if self._inside:  # what this call is given was made around it
            self._listen(call.arguments, self._inside[-1])
        self._inside.append(call.name)
        self._last = self.now()

    def _leave(self, call: taps.Call) -> None:
        if self.whole and call.module is not self.model:
            return
        self._border()
        self._inside.pop()
        nodes = self._listen(call.result, call.name)
        if not self._inside:  # the network itself returns: next is the loss, which leads back to these nodes
            self._outside = "loss"
            for node in nodes:
                self._hooks.append(node.register_prehook(lambda *_: self.mark("loss")))
        self._last = self.now()

    def _border(self) -> None:
        if self._inside:
            self.mark("forward", self._inside[-1])
        else:
            self.mark(self._outside)

    def _listen(self, values: object, name: str) -> list[Any]:
        """Hear when each node of the backward graph behind some tensors is done, for a layer.

        Nodes that were seen before belong to others. Returns the nodes of the tensors themselves.
        """
        tensors = [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]
        last: list[Any] = [tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None]
        nodes = list(last)
        while nodes:
            node = nodes.pop()
            if node not in self._seen:
                self._seen.add(node)
                self._hooks.append(node.register_hook(lambda *_: self.mark("backward", name)))
                nodes += [following for following, _ in node.next_functions if following is not None]
        return last


def watched(
    step: Callable[[Batch], object],
    batches: Iterable[Batch],
    watch: Watch,
    *,
    steps: int = STEPS,
    seconds: float = SECONDS,
) -> Iterator[tuple[dict[Part, float], float]]:
    """Do training steps, every second one watched; give its parts, and the seconds of the other.

    batches: two for each watched step, after those of the warm-up.   seconds: the time for all.
    """
    coming = iter(batches)
    for _ in range(WARM):
        step(next(coming))
    began = time.perf_counter()
    for number in range(steps):
        if number >= FEWEST and time.perf_counter() - began > seconds:
            return
        started = watch.now()
        step(next(coming))
        unwatched = watch.now() - started
        watch.start()
        batch = next(coming)
        watch.mark("data")
        with watch.layers():
            step(batch)
            watch.mark("update")
        yield watch.parts, unwatched
