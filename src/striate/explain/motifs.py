"""What the first kernels of a network for letters have learnt, as motifs: counts, information, places.

Windows that excite a kernel more than half as much as any does are laid on one another; the counts of letters
at each place are the motif.
Source: Kelley, Snoek and Rinn 2016, Basset, section Methods (windows above half of the maximum); Schneider
and Stephens 1990, Sequence logos (information, with the correction for few samples).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.explain.layers import batches, follow

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Motif:
    """What one kernel looks for.

    unit: its number.   counts: (letters, taps), how often each letter stood under each tap.
    bits: (taps,) information, 0 (any letter) to log2(letters).
    sequences, positions: (windows,) each, where the windows are: the sequence's number and its first step.
    """

    unit: int
    counts: NDArray[Any]
    bits: NDArray[Any]
    sequences: NDArray[Any]
    positions: NDArray[Any]

    @property
    def shares(self) -> NDArray[Any]:
        """Of each letter under each tap, (letters, taps); columns sum to 1."""
        return self.counts / self.counts.sum(0)  # type: ignore[no-any-return]

    def consensus(self, alphabet: str, least: float = 0.5) -> str:
        """Write the commonest letter under each tap, and a dot where there are fewer than ``least`` bits."""
        best = self.counts.argmax(0)
        return "".join(
            alphabet[letter] if bits >= least else "." for letter, bits in zip(best, self.bits, strict=True)
        )


def motifs(model: nn.Module, x: Tensor, *, above: float = 0.5) -> list[Motif]:
    """Read the motif of each kernel of a network's first convolution, the most informative first.

    x: (N, letters, L) one-hot sequences to look for windows in.
    above: windows count that excite a kernel more than this share of what any does; the higher, the fewer
    windows and the sharper the motif. Kernels that nothing excites are left out.
    Raises ModelError where the network's first convolution is not one of sequences, without gaps.

    >>> net = nn.Sequential(nn.Conv1d(4, 1, 2, bias=False))
    >>> _ = net[0].weight.data.copy_(torch.eye(4)[:, [3, 0]][None])  # T, then A
    >>> x = torch.eye(4)[[2, 3, 0, 1, 1, 3, 0]].T[None]  # GTACCTA
    >>> [found] = motifs(net, x)
    >>> found.counts.tolist(), found.positions.tolist()
    ([[0.0, 2.0], [0.0, 0.0], [0.0, 0.0], [2.0, 0.0]], [1, 5])
    """
    name, layer = _first(model)
    kernel, stride, padding = layer.kernel_size[0], layer.stride[0], layer.padding
    if layer.dilation[0] != 1 or padding not in {(0,), "valid"}:
        raise ModelError(
            f"{name} is dilated or padded: its windows are no pieces of a sequence.", "Take another network."
        )
    values = _values(model, x, name)
    windows = x.unfold(2, kernel, stride)  # (N, letters, places, taps)
    found = []
    for unit in range(values.shape[1]):
        most = float(values[:, unit].max())
        if most <= 0:
            continue
        rows, places = (values[:, unit] > above * most).nonzero(as_tuple=True)
        counts = windows[rows, :, places].sum(0)
        found.append(
            Motif(unit, counts.numpy(), information(counts).numpy(), rows.numpy(), (places * stride).numpy())
        )
    return sorted(found, key=lambda motif: -float(motif.bits.sum()))


def information(counts: Tensor) -> Tensor:
    """Give the bits of each column of counts (letters, taps): log2(letters) less its entropy, at least 0.

    An entropy from few windows comes out too small by about (letters - 1)/(2 ln 2 windows), which is added.

    >>> information(torch.tensor([[1e6], [0.0], [0.0], [0.0]])).round(decimals=3).tolist()
    [2.0]
    """
    letters, windows = len(counts), counts.sum(0)
    shares = counts / windows
    entropy = -torch.special.xlogy(shares, shares).sum(0) / math.log(2)
    correction = (letters - 1) / (2 * math.log(2) * windows)
    bits: Tensor = (math.log2(letters) - entropy - correction).clamp(min=0)
    return bits


def _first(model: nn.Module) -> tuple[str, nn.Conv1d]:
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d):
            return name, module
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            break
    raise ModelError(
        "The network does not begin with a convolution over letters.", "Motifs are for networks such as dna."
    )


def _values(model: nn.Module, x: Tensor, layer: str) -> Tensor:
    kept: list[Tensor] = []

    def take(name: str, _module: nn.Module, output: Tensor) -> None:
        if name == layer:
            kept.append(output.float().cpu().clone())  # a ReLU behind it may work in place

    with torch.no_grad():
        for batch in batches(x, 256):
            follow(model, batch, take)
    return torch.cat(kept)
