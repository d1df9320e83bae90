"""Which line of the table is being computed: torch's own modules, and functions called outside of them.

``nn.Conv2d`` is a line; a user's module is the lines of what it calls: ``F.relu``, ``torch.cat``, ``+``.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn, overrides
from torch._C import _len_torch_dispatch_stack, _len_torch_function_stack
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils import _python_dispatch, swap_tensors
from torch.utils._pytree import tree_map_only

from striate import taps
from striate.summary import recurrent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from striate.summary.result import Window

# Python's names for operators, and torch's for variants, as the names that people know.
KNOWN_AS = {
    "getitem": "index",
    "setitem": "assign",
    "truediv": "div",
    "true_divide": "div",
    "subtract": "sub",
    "multiply": "mul",
    "concat": "cat",
    "concatenate": "cat",
    "batch_norm_impl_index": "batch_norm",
}
CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
WHOLE = (nn.MultiheadAttention, nn.RNNBase)  # they hold modules that they do not call, or call as one


@dataclass(eq=False)
class Line:
    """One call: of a module (``module`` is its own path) or of a function (``module`` is the caller's path).

    What a trace fills in is for a batch of one, with the batch axis still in the shapes.
    """

    name: str
    kind: str
    module: str
    functional: bool
    own: nn.Module | None
    arguments: Any = ()
    result: Any = None
    input: tuple[int, ...] = ()
    output: tuple[int, ...] = ()
    sources: list[Line | None] = field(default_factory=list)  # where its tensors come from; None: the input
    parameters: list[nn.Parameter] = field(default_factory=list)
    operators: int = 0
    multiply_adds: int = 0
    other_operations: int = 0
    uncounted: list[str] = field(default_factory=list)
    made: int = 0  # bytes of its results that are new
    sees: Any = None
    window: Window | None = None
    is_kept: bool = False  # false at work, and for constants


class Rows(TorchFunctionMode):
    """Follows a network's calls, in the thread that enters it.

    current: the line at work, None between two lines.   inside: the calls that have not returned, as name,
    module and arguments. After an error that came out, both are as they were where it was raised.
    opened and closed are called with each line as it starts and ends.
    """

    def __init__(
        self, model: nn.Module, opened: Callable[[Line], None], closed: Callable[[Line], None]
    ) -> None:
        super().__init__()
        self.current: Line | None = None
        self.inside: list[tuple[str, nn.Module, tuple[Any, ...]]] = []
        self._model, self._opened, self._closed = model, opened, closed
        self._seen: dict[str, int] = {}
        self._failure: tuple[BaseException, Line | None, list[Any]] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # unwinds what was entered if the next one fails
            stack.enter_context(alone())
            stack.enter_context(taps.calls(self._model, self._enter, self._leave))
            super().__enter__()  # type: ignore[no-untyped-call]
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)  # type: ignore[no-untyped-call]
        finally:
            self._stack.close()
        if self._failure is not None and error[1] is self._failure[0]:
            _, self.current, self.inside = self._failure

    def _enter(self, call: taps.Call) -> None:
        self.inside.append((call.name, call.module, call.arguments))
        if self.current is None and is_line(call.module):
            kind = kind_of(call.module)
            self._open(Line(call.name or kind, kind, call.name, False, call.module, call.arguments))

    def _leave(self, call: taps.Call) -> None:
        if call.error is not None:
            self._fail(call.error)
        self.inside.pop()
        if self.current is not None and self.current.own is call.module:
            self.current.result = call.result
            self._close(failed=call.error is not None)

    @contextmanager
    def line(self, kind: str, arguments: Any) -> Iterator[Line]:
        """Make what is called within one line, named after a function."""
        path = self.inside[-1][0] if self.inside else ""
        line = Line(f"{path}.{kind}" if path else kind, kind, path, True, None, arguments)
        self._open(line)
        try:
            yield line
        except BaseException as error:
            self._fail(error)
            self._close(failed=True)
            raise
        self._close()

    def _open(self, line: Line) -> None:
        self._seen[line.name] = count = self._seen.get(line.name, 0) + 1
        if count > 1:
            line.name += f"#{count}"
        self.current = line
        self._opened(line)

    def _close(self, *, failed: bool = False) -> None:
        assert self.current is not None
        if not failed:
            self._closed(self.current)  # still at work: what this asks of tensors makes no line
        self.current = None

    def _fail(self, error: BaseException) -> None:
        """Keep where an error was raised; the network may go on without it."""
        if self._failure is None or self._failure[0] is not error:
            self._failure = error, self.current, list(self.inside)

    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = getattr(func, "__name__", "")
        if kind in QUIET:
            return func(*args, **kwargs)
        args, kwargs = joined(kind, args, kwargs)
        if self.current is not None and recurrent.stands_for(kind, args):
            return recurrent.stand_in(kind, args)
        if self.current is not None:
            return func(*args, **kwargs)
        with self.line(known_as(kind), (*args, *kwargs.values())) as line:
            line.result = result = func(*args, **kwargs)
        return result


@contextmanager
def alone() -> Iterator[None]:
    """Keep what is done here from every mode that is at work around it, such as another inspection."""
    with ExitStack() as stack:
        while _len_torch_dispatch_stack():
            stack.enter_context(_python_dispatch._pop_mode_temporarily())  # noqa: SLF001
        while _len_torch_function_stack():
            stack.enter_context(overrides._pop_mode_temporarily())  # noqa: SLF001
        yield


# Questions about a tensor, which compute nothing.
QUIET = frozenset(
    {"size", "dim", "numel", "stride", "is_floating_point", "is_complex", "__get__", "__len__", "__hash__"}
)


def kind_of(module: nn.Module) -> str:
    """Name the class of a module, as it was written."""
    kind = type(module)
    if parametrize.is_parametrized(module):
        kind = kind.__mro__[1]
    return getattr(getattr(module, "cls_to_become", None) or kind, "__name__", "")


def is_line(module: nn.Module) -> bool:
    """Tell whether a module is one line: torch's own, without modules of its own inside."""
    kind = type(module)
    if parametrize.is_parametrized(module):
        kind = kind.__mro__[1]
    if not kind.__module__.startswith(("torch.nn.modules", "torch.ao.nn")) or isinstance(module, CONTAINERS):
        return False
    return isinstance(module, WHOLE) or all(name == "parametrizations" for name, _ in module.named_children())


def known_as(function: str) -> str:
    """Name a function as people do.

    >>> known_as("__iadd__"), known_as("relu_"), known_as("__getitem__")
    ('add', 'relu', 'index')
    """
    name = function
    if name.startswith("__"):
        name = name.strip("_")
        if name[:1] in "ir" and name[1:] in ARITHMETIC:
            name = name[1:]
    name = name.strip("_")
    return KNOWN_AS.get(name, name)


ARITHMETIC = frozenset(
    {"add", "sub", "mul", "truediv", "div", "matmul", "pow", "floordiv", "mod", "and", "or", "xor"}
)


IN_PLACE = frozenset(f"__i{name}__" for name in ARITHMETIC)


def joined(function: str, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Take the numbers from tensors that a network makes, such as zeros, where they meet those without."""
    found = tensors(args)
    if kwargs:
        found += tensors(kwargs)
    if len({tensor.is_meta for tensor in found}) < 2 or all(t.is_meta or not t.dim() for t in found):
        return args, kwargs
    if function in {"__getitem__", "__setitem__"}:
        args = (args[0], _places(args[1]), *args[2:])
    writes = function == "__setitem__" or (function.endswith("_") and function.rstrip("_") + "_" == function)
    if (writes or function in IN_PLACE) and not args[0].is_meta:
        swap_tensors(args[0], args[0].to("meta"))  # type: ignore[no-untyped-call]
    args, kwargs = tree_map_only(Tensor, _without_numbers, (args, kwargs))
    return args, kwargs


def _without_numbers(tensor: Tensor) -> Tensor:
    if tensor.is_meta or not tensor.dim():
        return tensor
    shape = tensor.to("meta")
    shape.numbers = tensor  # type: ignore[attr-defined]  # an index shows what is picked
    return shape


def _places(index: Any) -> Any:
    """Give the places that masks choose, which an index without numbers cannot."""
    index = index if isinstance(index, tuple) else (index,)
    return tuple(
        place
        for one in index
        for place in (
            one.nonzero().unbind(1)
            if isinstance(one, Tensor) and one.dtype is torch.bool and not one.is_meta
            else (one,)
        )
    )


PLAIN = frozenset({int, float, bool, str, type(None), torch.dtype, torch.device, torch.memory_format})


def tensors(tree: Any) -> list[Tensor]:
    """Give every tensor in nested arguments or results, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    found: list[Tensor] = []
    for branch in _branches(tree):
        if branch.__class__ not in PLAIN:
            found += tensors(branch)
    return found


def _branches(tree: Any) -> Iterable[Any]:
    if isinstance(tree, (list, tuple)):
        return tree
    if isinstance(tree, dict):
        return tree.values()
    return vars(tree).values() if is_dataclass(tree) and not isinstance(tree, type) else ()
