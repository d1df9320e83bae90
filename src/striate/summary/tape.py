"""What operators take and give back, written down while a network of meta tensors runs.

On the meta device an operator gives only shapes; a processor takes more than its result for a convolution, as
oneDNN copies the tensors into blocks of 8 or 16 channels. Those copies are written down too, marked as such.
"""

from __future__ import annotations

import math
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from striate.summary import shapes
from striate.summary.heap import BACKWARD, FORWARD, FREED, OPERATOR, Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

aten = torch.ops.aten


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every storage that operators make and drop, in order, and which are saved for backward.

    known: tensors that are there before, and not written down.   row: see `save`.
    """

    def __init__(self, known: Iterable[Tensor], row: Callable[[], int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.events: list[Event] = []
        self.saved: dict[int, int] = {}  # row: bytes
        self.kept: set[int] = set()  # numbers of the storages that are saved
        self._maker = FORWARD
        self._row = row
        self._count = 0
        self._known = {_key(tensor) for tensor in known} | {NO_STORAGE}
        self._seen = set(self._known)
        self._numbers: dict[int, int] = {}
        self._watched: dict[int, weakref.KeyedRef[int, torch.UntypedStorage]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would load its compiler, a second or two, to keep it away from this

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = shapes.run(func, args, kwargs or {})
        if _makes_new(func):
            COPYING.get(func, _plainly)(self, args, result)
        return result

    def save(self, tensor: Tensor) -> Tensor:
        """Count a tensor that an operator saves for backward, once a storage, for the row at work."""
        key = _key(tensor)
        if key not in self._seen:
            self._seen.add(key)
            row = self._row()
            self.saved[row] = self.saved.get(row, 0) + tensor.untyped_storage().nbytes()
            if key in self._numbers:
                self.kept.add(self._numbers[key])
        return tensor

    def turn(self) -> None:
        """Go over from the forward to the backward pass."""
        self._maker = BACKWARD

    def stop(self) -> None:
        """Listen no more."""
        self._watched.clear()

    def number(self, tensor: Tensor) -> int:
        """Tell the number that a tensor's storage was given, 0 if none."""
        return self._numbers.get(_key(tensor), 0)

    def made(self, tensor: Tensor) -> None:
        """Write down the storage of an operator's result, until nobody holds it."""
        key = _key(tensor)
        if key not in self._watched and key not in self._known:
            storage = tensor.untyped_storage()
            self._watched[key] = weakref.KeyedRef(storage, self._dropped, key)
            self._numbers[key] = self.take(storage.nbytes(), self._maker)

    def take(self, size: int, maker: int = OPERATOR) -> int:
        """Write down that memory is taken; gives its number."""
        self._count += 1
        self.events.append((self._count, size, maker))
        return self._count

    def give_back(self, *numbers: int) -> None:
        """Write down that an operator gives back what it took for itself."""
        self.events += [(number, FREED, OPERATOR) for number in numbers]

    def _dropped(self, storage: weakref.KeyedRef[int, torch.UntypedStorage]) -> None:
        del self._watched[storage.key]
        self._seen.discard(storage.key)
        self.events.append((self._numbers.pop(storage.key), FREED, self._maker))


NO_STORAGE: Final = 0


def _key(tensor: Tensor) -> int:
    if tensor.layout is not torch.strided:
        return NO_STORAGE
    address: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - what two views of a storage share
    return address


@cache
def _makes_new(func: Any) -> bool:
    """Tell whether an operator's results are new storages, and not its arguments or views of them."""
    return any(result.alias_info is None for result in func._schema.returns)  # noqa: SLF001


def _plainly(tape: Tape, _args: Any, result: Any) -> None:
    for made in result if isinstance(result, (tuple, list)) else (result,):
        if isinstance(made, Tensor):
            tape.made(made)
        elif isinstance(made, (tuple, list)):
            _plainly(tape, (), made)


# What oneDNN takes for a convolution, in its order (torch 2.13, found by logging its allocations).


def _convolution(tape: Tape, args: tuple[Any, ...], y: Tensor) -> None:
    x, weight, transposed, groups = args[0], args[1], args[6], args[8]
    if not _is_copied(x, weight):
        return tape.made(y)
    copies = [tape.take(weight.nbytes)]
    if transposed or groups > 1 or x.shape[1] >= _block():  # a first layer reads its few channels as they are
        copies.append(tape.take(_blocked(x, groups)))
    result = tape.take(_blocked(y, groups))
    tape.give_back(*copies)
    copies = [tape.take(y.nbytes)] if transposed else []  # its bias is added to one more copy
    tape.made(y)
    return tape.give_back(*copies, result)


def _convolution_backward(tape: Tape, args: tuple[Any, ...], made: tuple[Tensor | None, ...]) -> None:
    grad, x, weight, groups = args[0], args[1], args[2], args[9]
    if not _is_copied(x, weight):
        return _plainly(tape, args, made)
    to_x, to_weight, _ = made
    if to_x is not None:
        copies = [tape.take(_blocked(grad, groups)), tape.take(weight.nbytes)]
        result = tape.take(_blocked(x, groups))
        tape.give_back(*copies)
        tape.made(to_x)
        tape.give_back(result)
    if to_weight is not None:
        copies = [tape.take(_blocked(grad, groups))]
        if groups > 1 or x.shape[1] > 3:
            copies.append(tape.take(_blocked(x, groups)))
        result = tape.take(weight.nbytes)
        tape.give_back(*copies)
        tape.made(to_weight)
        tape.give_back(result)
    return _plainly(tape, args, made[2:])


COPYING: dict[Any, Callable[[Tape, Any, Any], None]] = {
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
}


def _is_copied(x: Tensor, weight: Tensor) -> bool:
    """Tell whether a convolution is oneDNN's and in blocks, which it is not with channels last."""
    return _block() > 0 and x.dtype is torch.float32 and x.is_contiguous() and weight.is_contiguous()


@cache
def _block() -> int:
    """Give the channels of a block, as many numbers as the processor takes at once; 0 without oneDNN."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return 0
    return 16 if torch.backends.cpu.get_cpu_capability().startswith("AVX512") else 8


def _blocked(tensor: Tensor, groups: int) -> int:
    """Count the bytes of a tensor in blocks: the last block is filled up, unless groups end inside of it."""
    channels = tensor.shape[1]
    if groups not in {1, channels}:
        return tensor.nbytes
    return tensor.nbytes // channels * math.ceil(channels / _block()) * _block()
