"""One pass through a network of meta tensors: every line with its shapes, arithmetic and receptive field."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from striate.ops.size import Axis
from striate.summary import count, receptive, shapes
from striate.summary.bounds import Seen, Unknown
from striate.summary.result import Window
from striate.summary.rows import Line, Rows, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

UNKNOWN = object()  # what a tensor sees, once an operator that is not followed came in between


@dataclass(frozen=True)
class Traced:
    """The lines in their order, the bytes of activations that live at once, and what the network returned."""

    lines: list[Line]
    peak: int
    result: Any


@dataclass(eq=False)
class _Memory:
    """What several tensors may share: its bytes, the line that made it, and how often it was written to."""

    size: int
    made_by: Line | None
    written_by: Line | None
    writes: int = 0
    changes: list[tuple[int, int]] = field(default_factory=list)  # places that came to see other pixels
    is_constant: bool = True
    dropped: Any = None  # hears of the end


@dataclass(eq=False)
class _Note:
    """What a tensor carries: the line that made it and what it sees, as of so many writes to its memory."""

    line: Line | None
    sees: Any
    memory: _Memory
    writes: int
    changes: int


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hears of every operator, and writes it down on the line at work."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = Rows(model, self._opened, self._closed)
        self.lines: list[Line] = []
        self.peak = 0
        self._model = model
        self._live = 0
        self._memories: dict[int, _Memory] = {}
        self._parameters = {id(parameter): parameter for parameter in model.parameters()}
        stored = (tensor for tensor in (*model.parameters(), *model.buffers()) if not is_lazy(tensor))
        self._stored = {tensor.untyped_storage()._cdata for tensor in stored}  # noqa: SLF001 - its address

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would load its compiler, a second or two, to keep it away from this

    def run(self, x: Tensor, spatial: Iterable[int]) -> Traced:
        """Run the network once, in its present mode, without gradients.

        x: (1, ...) on the meta device; spatial: which of its axes are places, such as rows and columns.
        An error of the network comes out as it is; ``rows.inside`` then says where it happened.
        """
        self._note(x, None, receptive.of_input(x, spatial))
        try:
            with torch.no_grad(), self.rows, self:
                result = self._model(x)
        finally:
            self._memories.clear()
        return Traced(self.lines, self.peak, result)

    # Lines

    def _opened(self, line: Line) -> None:
        arguments = tensors(line.arguments)
        for tensor in arguments:
            self._read(line, tensor)
        if not line.input and arguments:
            line.input = tuple(arguments[0].shape)

    def _closed(self, line: Line) -> None:
        if line.operators == 0 and line.functional:
            return
        if not (line.sources or line.parameters or line.multiply_adds):
            return  # a constant
        results = tensors(line.result) or tensors(line.arguments)[:1]
        for tensor in results:
            memory = self._memory_of(tensor)
            if memory is not None and memory.made_by is line:
                line.made += memory.size
                memory.made_by = None
            self._note(tensor, line, self._seen_by(tensor))
        if results:
            line.output = tuple(results[0].shape)
            line.sees = self._seen_by(results[0])
        line.arguments, line.result, line.is_kept = (), None, True
        self.lines.append(line)

    def _read(self, line: Line, tensor: Tensor) -> None:
        if (parameter := self._parameters.get(id(tensor))) is not None:
            if not any(parameter is known for known in line.parameters):
                line.parameters.append(parameter)
        elif (memory := self._memory_of(tensor)) is not None:
            note = getattr(tensor, "striate_note", None)
            source = note.line if note is not None and note.writes == memory.writes else memory.written_by
            if source is None or source.is_kept:
                line.input = line.input or tuple(tensor.shape)
                if source not in line.sources:
                    line.sources.append(source)

    # Operators

    def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not count.is_known(func):
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        if self.rows.current is not None:
            return self._write(self.rows.current, func, args, kwargs)
        with self.rows.line(func.overloadpacket.__name__, args) as line:  # called past torch's functions
            line.result = self._write(line, func, args, kwargs)
            return line.result

    def _write(self, line: Line, func: Any, args: Any, kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction():  # noqa: SLF001 - what is done here is no line
            read = tensors(args)
            if kwargs:
                read += tensors(kwargs)
            for tensor in read:
                self._read(line, tensor)
            out = shapes.run(func, args, kwargs)
            line.operators += 1
            line.multiply_adds += count.multiply_adds(func, args, kwargs, out)
            line.other_operations += count.other_operations(func, args, kwargs, out)
            if not count.is_known(func) and str(func.overloadpacket) not in line.uncounted:
                line.uncounted.append(str(func.overloadpacket))
            if line.window is None:
                line.window = window(func, args, kwargs, out)
            made = tensors(out)
            sees = self._see(func, args, kwargs, out, made)
            if written := count.written(func):
                given = count.named(func, args, kwargs)
                for tensor in tensors([given[name] for name in written]):
                    self._overwrite(tensor, line, made, sees)
            for tensor, one in zip(made, sees, strict=True):
                self._note(tensor, line, one)
            return out

    def _see(self, func: Any, args: Any, kwargs: Any, out: Any, made: Sequence[Tensor]) -> list[Any]:
        """Say what each result sees."""
        try:
            sees = receptive.seen_by(func, args, kwargs, out, self._known_by)
        except Unknown:
            return [UNKNOWN] * len(made)
        if sees is None:
            return [None] * len(made)
        # Statistics beside the result have other axes.
        return [
            (one if all(axis.first.dim() == tensor.dim() for axis in one) else UNKNOWN)
            if tensor.numel()
            else None
            for one, tensor in zip(sees, made, strict=True)
        ]

    def _overwrite(self, tensor: Tensor, line: Line, made: Sequence[Tensor], sees: Sequence[Any]) -> None:
        """Note that a tensor was written to in place, and with it all that shares its memory."""
        now = next((one for result, one in zip(made, sees, strict=True) if result is tensor), UNKNOWN)
        memory = self._memory_of(tensor) or self._remember(tensor, size=0)
        memory.writes += 1
        memory.written_by = line
        if not _is_same(now, self._seen_by(tensor)):
            memory.changes.append(_places(tensor))
        self._note(tensor, line, now)

    # What is known of a tensor

    def _note(self, tensor: Tensor, line: Line | None, sees: Any) -> None:
        memory = self._memory_of(tensor)
        if memory is None:
            memory = self._remember(tensor, line)
        memory.is_constant &= sees is None
        tensor.striate_note = _Note(line, sees, memory, memory.writes, len(memory.changes))  # type: ignore[attr-defined]

    def _seen_by(self, tensor: Any) -> Any:
        """Give what a tensor sees, UNKNOWN, or None for a constant."""
        memory = None if id(tensor) in self._parameters else self._memory_of(tensor)
        if memory is None or memory.is_constant:
            return None
        note = getattr(tensor, "striate_note", None)
        if note is None:
            return UNKNOWN
        if later := memory.changes[note.changes :]:
            first, last = _places(tensor)
            if any(low <= last and first <= high for low, high in later):
                return UNKNOWN
        return note.sees

    def _known_by(self, tensor: Any) -> Seen | None:
        sees = self._seen_by(tensor) if isinstance(tensor, Tensor) else None
        if sees is UNKNOWN:
            raise Unknown
        return sees

    # Memory

    def _memory_of(self, tensor: Tensor) -> _Memory | None:
        if (note := getattr(tensor, "striate_note", None)) is not None:
            return note.memory  # type: ignore[no-any-return]
        try:
            return self._memories.get(tensor.untyped_storage()._cdata)  # noqa: SLF001 - its address
        except (NotImplementedError, RuntimeError):  # a wrapper, such as vmap's, has none of its own
            return None

    def _remember(self, tensor: Tensor, line: Line | None = None, size: int | None = None) -> _Memory:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes() if size is None else size  # noqa: SLF001
        if key in self._stored:  # a view of a weight takes nothing
            size = 0
        self._live += size
        self.peak = max(self.peak, self._live)

        def drop(_: Any) -> None:
            if (memory := self._memories.pop(key, None)) is not None:
                self._live -= memory.size

        self._memories[key] = memory = _Memory(size, line, line, dropped=weakref.ref(storage, drop))
        return memory


def _places(tensor: Tensor) -> tuple[int, int]:
    """Give the first and the last place of its memory that a tensor uses."""
    first = int(tensor.storage_offset())
    return first, first + sum(
        (n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (
        isinstance(one, tuple)
        and isinstance(other, tuple)
        and all(mine is theirs for mine, theirs in zip(one, other, strict=True))
    )


def window(func: Any, args: Any, kwargs: Any, out: Any) -> Window | None:
    """Describe a convolution or pooling; None for any other operator."""
    name = func.overloadpacket.__name__
    if name != "convolution" and name not in count.POOLS:
        return None
    given = count.named(func, args, kwargs)
    if name == "convolution":
        x, weight = given["input"], given["weight"]
        return Window(
            _axes(x, weight.shape[2:], given["stride"], given["padding"], given["dilation"]),
            in_channels=x.shape[1],
            out_channels=out.shape[1],
            groups=given["groups"],
            use_bias=given["bias"] is not None,
            transposed=given["transposed"],
        )
    x, kernel = given["self"], count.kernel_of(name, given)
    axes = _axes(
        x,
        kernel,
        given["stride"] or kernel,
        given["padding"],
        given.get("dilation", 1),
        ceil=given["ceil_mode"],
    )
    channels = x.shape[-len(kernel) - 1]
    return Window(axes, channels, channels, groups=channels, learned=False)


def _axes(
    x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, *, ceil: bool = False
) -> tuple[Axis, ...]:
    many = len(kernel)
    settings = zip(
        x.shape[-many:], kernel, *(count.per_axis(v, many) for v in (stride, padding, dilation)), strict=True
    )
    return tuple(Axis(n, k, s, (p, p), d, ceil) for n, k, s, p, d in settings)
