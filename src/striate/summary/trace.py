"""One pass through a network of meta tensors: every line with its shapes, arithmetic and receptive field."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from striate.ops.size import Axis
from striate.summary import count, receptive, shapes
from striate.summary.result import Window
from striate.summary.rows import Line, Rows, tensors

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = object()  # what a tensor sees, once an operator that is not followed came in between


@dataclass(frozen=True)
class Traced:
    """The lines in their order, the bytes of activations that live at once, and what the network returned."""

    lines: list[Line]
    peak: int
    result: Any


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hears of every operator, and writes it down on the line at work.

    Every tensor carries the line that made it and what it sees, as attributes of its own.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows = Rows(model, self._opened, self._closed)
        self.lines: list[Line] = []
        self.peak = 0
        self._model = model
        self._live = 0
        self._storages: dict[int, int] = {}
        self._fresh: set[int] = set()
        self._parameters = {id(parameter): parameter for parameter in model.parameters()}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would load its compiler, a second or two, to keep it away from this

    def run(self, x: Tensor, spatial: Iterable[int]) -> Traced:
        """Run the network once, in its present mode, without gradients.

        x: (1, ...) on the meta device; spatial: which of its axes are places, such as rows and columns.
        An error of the network comes out as it is; ``rows.inside`` then says where it happened.
        """
        x.line, x.sees = None, receptive.of_input(x, spatial)  # type: ignore[attr-defined]
        self._store(x)
        with torch.no_grad(), self.rows, self:
            result = self._model(x)
        return Traced(self.lines, self.peak, result)

    def _opened(self, line: Line) -> None:
        self._fresh.clear()
        arguments = tensors(line.arguments)
        for tensor in arguments:
            self._read(line, tensor)
        main = next((tensor for tensor in arguments if hasattr(tensor, "line")), None)
        if main is None and arguments:
            main = arguments[0]
        line.input = tuple(main.shape) if main is not None else ()

    def _closed(self, line: Line) -> None:
        results = tensors(line.result) or tensors(line.arguments)[:1]
        if line.operators == 0 and line.functional:
            return
        if not (line.sources or line.parameters or line.multiply_adds):
            return  # a constant
        for tensor in results:
            tensor.line = line  # type: ignore[attr-defined]
            storage = tensor.untyped_storage()
            if id(storage) in self._fresh:
                line.made += storage.nbytes()
                self._fresh.discard(id(storage))
        if results:
            line.output = tuple(results[0].shape)
            line.sees = getattr(results[0], "sees", None)
        line.arguments, line.result = (), None
        self.lines.append(line)

    def _read(self, line: Line, tensor: Tensor) -> None:
        if (parameter := self._parameters.get(id(tensor))) is not None:
            if not any(parameter is known for known in line.parameters):
                line.parameters.append(parameter)
        elif hasattr(tensor, "line") and tensor.line is not line and tensor.line not in line.sources:
            line.sources.append(tensor.line)

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
        read = tensors(args)
        if kwargs:
            read += tensors(kwargs)
        if (
            len({tensor.is_meta for tensor in read if tensor.dim()}) > 1
        ):  # a tensor that the network just made
            args, kwargs = tree_map_only(Tensor, lambda tensor: tensor.to("meta"), (args, kwargs))
        for tensor in read:
            self._read(line, tensor)
        out = shapes.run(func, args, kwargs)
        line.operators += 1
        line.multiply_adds += count.multiply_adds(func, args, kwargs, out)
        line.other_operations += count.other_operations(func, args, out)
        if not count.is_known(func) and str(func.overloadpacket) not in line.uncounted:
            line.uncounted.append(str(func.overloadpacket))
        if line.window is None:
            line.window = window(func, args, out)
        made = tensors(out)
        for tensor, sees in zip(made, self._sees(func, args, out, len(made)), strict=True):
            self._note(func, line, tensor, sees, read)
        self.peak = max(self.peak, self._live)
        return out

    def _sees(self, func: Any, args: Any, out: Any, many: int) -> Any:
        try:
            return receptive.seen_by(func, args, out, _sees_of) or [None] * many
        except receptive.Unknown:
            return [UNKNOWN] * many

    def _note(self, func: Any, line: Line, tensor: Tensor, sees: Any, read: list[Tensor]) -> None:
        if count.is_view(func):
            tensor.base = weakref.ref(read[0])  # type: ignore[attr-defined]
        elif read and tensor is read[0]:
            self._write_through(tensor, line, sees)
        else:
            self._store(tensor)
        tensor.line = line  # type: ignore[attr-defined]
        if sees is not None:
            tensor.sees = sees  # type: ignore[attr-defined]

    def _write_through(self, view: Tensor, line: Line, sees: Any) -> None:
        """Written to in place: what the tensor is a view of has changed in a part, which is not followed."""
        if sees is None or sees is getattr(view, "sees", None):
            return
        while (base := getattr(view, "base", None)) is not None and (view := base()) is not None:
            view.line, view.sees = line, UNKNOWN

    def _store(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if id(storage) not in self._storages:
            self._storages[id(storage)] = size = storage.nbytes()
            self._fresh.add(id(storage))
            self._live += size
            weakref.finalize(storage, self._freed, id(storage))

    def _freed(self, storage: int) -> None:
        self._live -= self._storages.pop(storage)


def _sees_of(tensor: Any) -> receptive.Seen | None:
    sees = getattr(tensor, "sees", None)
    if sees is UNKNOWN:
        raise receptive.Unknown
    return sees


def window(func: Any, args: Any, out: Any) -> Window | None:
    """Describe a convolution or pooling; None for any other operator."""
    name = func.overloadpacket.__name__
    if name == "convolution":
        x, weight, bias, stride, padding, dilation, transposed, _, groups = args
        kernel = weight.shape[2:]
        settings = [list(v) * (len(kernel) if len(v) == 1 else 1) for v in (stride, padding, dilation)]
        return Window(
            _axes(x, kernel, *settings, ceil=False),
            in_channels=x.shape[1],
            out_channels=out.shape[1],
            groups=groups,
            use_bias=bias is not None,
            transposed=transposed,
        )
    if name in count.POOLS:
        x, kernel, stride, padding, *rest = _filled(args)
        many = len(kernel)
        dilation = rest.pop(0) if "max" in name else None
        axes = _axes(
            x, kernel, stride or kernel, padding or [0] * many, dilation or [1] * many, ceil=bool(rest[0])
        )
        channels = x.shape[-many - 1]
        return Window(axes, channels, channels, groups=channels, learned=False)
    return None


def _filled(args: Any) -> list[Any]:
    """Add what was left out of a pooling's arguments."""
    return [*args, *[None] * (6 - len(args))]


def _axes(
    x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, *, ceil: bool
) -> tuple[Axis, ...]:
    sizes = x.shape[-len(kernel) :]
    return tuple(
        Axis(n, k, s, (p, p), d, ceil)
        for n, k, s, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    )
