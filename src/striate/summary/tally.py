"""The two totals of a network and nothing else, for lists of many: a third of the time of an inspection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from striate.summary import count, shapes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def tally(model: nn.Module, input_shape: Sequence[int]) -> tuple[int, int]:
    """Count the parameters, and the multiply-adds of one input in evaluation, as ``inspect`` counts them.

    model: on the meta device.   input_shape: without the batch, such as (3, 224, 224).

    >>> with torch.device("meta"):
    ...     tally(torch.nn.Conv2d(3, 10, 5), (3, 32, 32))
    (760, 588000)
    """
    with torch.no_grad(), _Tally() as counter:  # type: ignore[no-untyped-call]
        model.eval()(torch.empty(1, *input_shape, device="meta"))
    return sum(parameter.numel() for parameter in model.parameters()), counter.multiply_adds


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    multiply_adds = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would load its compiler, a second or two, to keep it away from this

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = shapes.run(func, args, kwargs)
        self.multiply_adds += count.multiply_adds(func, args, kwargs, out)
        return out
