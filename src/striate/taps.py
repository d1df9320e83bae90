"""Look into any module while it runs, and leave it as it was.

One context manager for every hook: it hears of each call of a module, by name, and is gone afterwards,
whatever happens in between. Nothing is written to the module itself.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn


@contextmanager
def calls(
    model: nn.Module,
    enter: Callable[[nn.Module, str, tuple[Any, ...]], None],
    leave: Callable[[nn.Module, str, Any], None],
) -> Iterator[None]:
    """Follow the calls of a network and of everything inside it.

    enter: given module, name (``layer1.0.conv1``, "" for the network) and arguments, before each call; leave:
    module, name and what the call returned. A call that raises is never left. A module with several names is
    known by its first. Modules outside the network are passed over in silence.
    """
    names = {id(module): name for name, module in model.named_modules()}

    def before(module: nn.Module, args: tuple[Any, ...]) -> None:
        if (name := names.get(id(module))) is not None:
            enter(module, name, args)

    def after(module: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        if (name := names.get(id(module))) is not None:
            leave(module, name, output)

    handles = [register_module_forward_pre_hook(before)]
    try:
        handles.append(register_module_forward_hook(after))
        yield
    finally:
        for handle in handles:
            handle.remove()
