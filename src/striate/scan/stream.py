"""A classifier at every place of a recording that arrives in pieces: memory does not grow with its length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from striate.errors import ModelError
from striate.scan.convolutional import fully_convolutional, total_strides
from striate.scan.slide import positions
from striate.scan.way import EXACT, PADS

PARTS = 20  # of a window that is cut by hand: the next begins so much later
STEPS = 2**21  # of windows that are seen at once
SAMPLE = 32  # windows on which a form is compared


@dataclass(frozen=True)
class Hearing:
    """A way of hearing a recording.

    mode, reason, difference: as of a picture, :class:`striate.scan.way.Way`.   hop: steps between answers.
    window: steps that one answer is for.   form: the network in the form that hears.
    """

    mode: Literal["exact", "windows", "approximate"]
    reason: str
    hop: int
    window: int
    form: nn.Module
    difference: float | None


def hearing(
    model: nn.Module, shape: tuple[int, int], *, hop: int | None = None, approximate: bool = False
) -> Hearing:
    """Find the best way to hear a recording: exactly as one sequence, if that can be, else by windows.

    model: (N, C, L) -> (N, K), in evaluation mode.   shape: (C, L) of its training.
    hop: steps between windows, which are then cut one by one, unless the network's own are as many; by
    default its own, else a twentieth of the window.   approximate: hear a sequence even where it differs.
    Raises ModelError where that is impossible.
    """
    window, asked = shape[1], hop or max(1, shape[1] // PARTS)
    example = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    try:
        form = fully_convolutional(model, example)
        (own,) = total_strides(form, example)
        off = _difference(model, form, shape, own)
    except ModelError as error:
        if approximate:
            raise
        return Hearing("windows", error.message.partition(": ")[2].rstrip("."), asked, window, model, None)
    if off > EXACT and not approximate:
        return Hearing("windows", PADS.replace("picture", "recording"), asked, window, model, off)
    if off > EXACT:
        return Hearing("approximate", PADS.replace("picture", "recording"), own, window, form, off)
    if hop and hop != own:
        reason = f"--stride asks for {hop} samples, where the network's own is {own}"
        return Hearing("windows", reason, hop, window, model, off)
    return Hearing("exact", "no inner padding", own, window, form, off)


class Ear:
    """Answers for every window of a recording that comes in pieces, as soon as its last step has come.

    Kept in between is less than a window.
    """

    def __init__(self, way: Hearing) -> None:
        self.way = way
        self._kept: Tensor | None = None

    def hear(self, piece: Tensor) -> Tensor | None:
        """Take the next steps (C, n), n from 0; answer (K, m) for the windows that are complete now.

        The i-th answer of all is for the window that begins at step i times the hop.   None where m is 0.
        """
        x = piece if self._kept is None else torch.cat([self._kept, piece], 1)
        count = positions(x.shape[1], self.way.window, self.way.hop)
        self._kept = x[:, count * self.way.hop :].clone()  # no view, which would keep all of x
        if not count:
            return None
        with torch.inference_mode():
            return _answers(self.way, x[:, : (count - 1) * self.way.hop + self.way.window])[:, :count]


def windows_of(model: nn.Module, x: Tensor, window: int, hop: int) -> Tensor:
    """Cut windows of a sequence by hand and let the network see them one by one: (C, n) -> (K, m)."""
    cut = x.unfold(1, window, hop).transpose(0, 1)
    batch = max(1, STEPS // (x.shape[0] * window))
    with torch.inference_mode():
        found = [model(cut[i : i + batch].contiguous()) for i in range(0, len(cut), batch)]
    return torch.cat(found).T


def off_by(way: Hearing, model: nn.Module, x: Tensor) -> float:
    """Measure how far the probabilities of a form are from those of windows, on a sample of the places of x.

    x: (C, n), a window or more.   Returns: the largest difference of a probability, 0..1.
    """
    found, wanted = (each.softmax(0) for each in _compared(way.form, model, x, way.window, way.hop))
    return float((found - wanted).abs().max())


def _answers(way: Hearing, x: Tensor) -> Tensor:
    if way.mode == "windows":
        return windows_of(way.form, x, way.window, way.hop)
    found: Tensor = way.form(x[None])
    return found[0]


def _difference(model: nn.Module, form: nn.Module, shape: tuple[int, int], hop: int) -> float:
    """Measure on noise how far the form is from windows cut by hand, as a share of the largest answer.

    The noise is two windows long: in its later half no window sees where it began, unless a network pads.
    """
    channels, window = shape
    noise = torch.randn(channels, 2 * window + hop + hop // 2, generator=torch.Generator().manual_seed(1))
    found, wanted = _compared(form, model, noise, window, hop)
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-12))


def _compared(form: nn.Module, model: nn.Module, x: Tensor, window: int, hop: int) -> tuple[Tensor, Tensor]:
    """Give a form's and the windows' answers (K, m) at evenly taken places of x, the last one included."""
    cut = x.unfold(1, window, hop)
    some = torch.linspace(0, cut.shape[1] - 1, min(SAMPLE, cut.shape[1])).round().long()
    with torch.inference_mode():
        whole = form(x[None, :, : (cut.shape[1] - 1) * hop + window])[0]
        return whole[:, some], model(cut[:, some].transpose(0, 1).contiguous()).T
