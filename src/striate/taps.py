"""Look into any module while it runs, and leave it as it was.

One context manager for every hook: it hears of each call of a module, by name, and is gone afterwards,
whatever happens in between. Nothing is written to the module itself. Torch's hooks for all modules hear every
thread of the process; only the calls of the thread that asked are passed on.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


@dataclass(eq=False)
class Call:
    """A call of a module.

    name: the module's path, such as ``layer1.0.conv1``, "" for the network itself; of several, the first.
    arguments: those given by position.  error: what it raised, if it did; then there is no result.
    """

    name: str
    module: nn.Module
    arguments: tuple[Any, ...]
    result: Any = None
    error: BaseException | None = None
    handled: BaseException | None = None  # the exception at work around the call


@contextmanager
def calls(model: nn.Module, enter: Callable[[Call], None], leave: Callable[[Call], None]) -> Iterator[None]:
    """Follow the calls of a network and of everything inside it.

    enter: hears of a call before it runs; leave: of the same call after it returned, or raised an Exception.
    What ``leave`` puts into ``call.result`` is what the caller is given.
    Modules outside the network are passed over in silence, and so is what other threads call.

    >>> from torch import nn, ones
    >>> net, heard = nn.Sequential(nn.ReLU()), []
    >>> with calls(net, lambda call: None, lambda call: heard.append(call.name)):
    ...     y = net(ones(1))
    >>> heard
    ['0', '']
    """
    names = {id(module): name for name, module in model.named_modules()}
    thread = get_ident()
    inside: list[Call] = []

    def before(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if (name := names.get(id(module))) is not None and get_ident() == thread:
            inside.append(Call(name, module, arguments, handled=sys.exc_info()[1]))
            enter(inside[-1])

    def after(module: nn.Module, _arguments: tuple[Any, ...], result: Any) -> Any:
        # Somebody else's hook may have raised before ours heard of the call.
        if get_ident() == thread and inside and inside[-1].module is module:
            call = inside.pop()
            now = sys.exc_info()[1]
            call.result, call.error = result, now if now is not call.handled else None
            leave(call)
            return call.result
        return None

    handles = [register_module_forward_pre_hook(before)]
    try:
        handles.append(register_module_forward_hook(after, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
