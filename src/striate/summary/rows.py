"""Which line of the table is being computed: torch's own modules, and functions called outside of them.

``nn.Conv2d`` is a line; a user's module is the lines of what it calls: ``F.relu``, ``torch.cat``, ``+``.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from striate import taps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


class Rows(TorchFunctionMode):
    """Follows a network's calls; ``current`` is the line at work, None between two lines.

    opened and closed are called with each line as it starts and ends.
    """

    def __init__(
        self, model: nn.Module, opened: Callable[[Line], None], closed: Callable[[Line], None]
    ) -> None:
        super().__init__()
        self.current: Line | None = None
        self.inside: list[tuple[str, nn.Module, tuple[Any, ...]]] = []  # the calls that have not returned
        self._model, self._opened, self._closed = model, opened, closed
        self._seen: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(taps.calls(self._model, self._enter, self._leave))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        try:
            super().__exit__(*error)  # type: ignore[no-untyped-call]
        finally:
            self._stack.close()

    def _enter(self, module: nn.Module, name: str, args: tuple[Any, ...]) -> None:
        self.inside.append((name, module, args))
        if self.current is None and is_line(module):
            kind = type(module).__name__.removeprefix("Parametrized")
            self._open(Line(name or kind, kind, name, False, module, args))

    def _leave(self, module: nn.Module, _name: str, output: Any) -> None:
        self.inside.pop()
        if self.current is not None and self.current.own is module and not self.current.functional:
            self.current.result = output
            self._close()

    @contextmanager
    def line(self, kind: str, arguments: Any) -> Iterator[Line]:
        """Make what is called within one line, named after a function."""
        path = self.inside[-1][0] if self.inside else ""
        line = Line(f"{path}.{kind}" if path else kind, kind, path, True, None, arguments)
        self._open(line)
        yield line
        self._close()

    def _open(self, line: Line) -> None:
        self._seen[line.name] = count = self._seen.get(line.name, 0) + 1
        if count > 1:
            line.name += f"#{count}"
        self.current = line
        self._opened(line)

    def _close(self) -> None:
        assert self.current is not None
        self._closed(self.current)  # still at work: what this asks of tensors makes no line
        self.current = None

    def __torch_function__(
        self, func: Callable[..., Any], _types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = getattr(func, "__name__", "")
        if self.current is not None or kind in QUIET:
            return func(*args, **kwargs)
        with self.line(known_as(kind), (*args, *kwargs.values())) as line:
            line.result = result = func(*args, **kwargs)
        return result


# Questions about a tensor, which compute nothing.
QUIET = frozenset(
    {"size", "dim", "numel", "stride", "is_floating_point", "is_complex", "__get__", "__len__", "__hash__"}
)


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


def tensors(tree: Any) -> list[Tensor]:
    """Give every tensor in nested arguments or results, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, (list, tuple)):
        return (
            [tensor for tensor in tree_leaves(tree) if isinstance(tensor, Tensor)]
            if hasattr(tree, "__dict__")
            else []
        )
    found: list[Tensor] = []
    for branch in tree:
        if isinstance(branch, Tensor):
            found.append(branch)
        elif isinstance(branch, (list, tuple, dict)) or hasattr(branch, "__dict__"):
            found += tensors(branch)
    return found
