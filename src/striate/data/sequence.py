"""From a recording, a text or a series to the network's input: the Preprocess of sequences.

A sequence is one tensor (C, L), channels first and time last. A shorter one is padded with zeros at its end,
and zeros are nowhere else at the end: what follows the last step that is not all zero is padding, which is
how a network knows the true length (:func:`striate.ops.sequence.lengths`).
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from striate.data.decode import Header
    from striate.data.sources import Source
    from striate.data.survey import Survey

Modality = Literal["sound", "symbols", "series"]
FULL = 32768.0  # of 16-bit sound: what becomes 1
MOST_VALUES = 2**26  # that a deviation is taken of, about: 512 MB
TINY = 1e-12  # a true step of a series that is all zero is not padding


@dataclass(frozen=True, kw_only=True)
class Sequences:
    """How a sequence becomes a tensor.

    channels: of the network's input.   length: steps that the network sees; longer is cut at its end, shorter
    is padded.   rate: samples a second, of sounds.   alphabet: the letters of symbols, in order.
    dtype: of what is stored: "int16" or "float32" (sound), "uint8" or "uint16" (symbols), "float32" (series).
    binary: a series of zeros and ones, which stays as it is.
    mean, std: per channel, of the training sequences; a sound's mean is 0, so that silence is.
    """

    modality: Modality
    channels: int
    length: int
    rate: int = 0
    alphabet: str = ""
    dtype: Literal["uint8", "uint16", "int16", "float32"] = "float32"
    binary: bool = False
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    @property
    def shape(self) -> tuple[int, ...]:
        """What the network is given, without the batch: (C, L)."""
        return self.channels, self.length

    @property
    def stored(self) -> tuple[int, ...]:
        """The shape of a stored sequence: (L, C'), where symbols are one column of codes."""
        return self.length, self.channels if self.modality == "series" else 1

    @property
    def padding(self) -> float:
        """What is stored where there is nothing."""
        return np.nan if self.modality == "series" else 0

    @property
    def decides(self) -> list[Any]:
        """Everything that decides what is stored."""
        return [self.modality, *self.stored, self.rate, self.alphabet, self.dtype]

    def pixels(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Cut or pad a decoded sequence (n, C') to what is stored: (length, C')."""
        raw = raw[: self.length]
        kept = np.full(self.stored, self.padding, self.dtype)
        kept[: len(raw)] = raw
        return kept

    def tensor(self, batch: Tensor) -> Tensor:
        """Make the network's input of raw values: (N, C', L) -> (N, C, L) float32."""
        import torch

        if self.modality == "symbols":
            return self._one_hot(batch)
        std = torch.tensor(self.std, device=batch.device)[:, None]
        x = batch.to(torch.float32)
        if self.modality == "sound":
            return x / (std * (FULL if self.dtype == "int16" else 1.0))
        there = ~x.isnan()
        x = torch.where(there, (x - torch.tensor(self.mean, device=batch.device)[:, None]) / std, 0.0)
        silent = (x == 0).all(1) & there.any(1)
        x[:, 0] += TINY * silent
        return x

    def json(self) -> dict[str, Any]:
        """Give the form that run.json holds."""
        return asdict(self)

    def _one_hot(self, codes: Tensor) -> Tensor:
        import torch

        letters = self.channels
        table = torch.zeros(letters + 2, letters, device=codes.device)
        table[1:-1].fill_diagonal_(1.0)
        table[-1] = 1 / letters  # a letter that is not known may be any
        return table[codes[:, 0].long()].movedim(2, 1).contiguous()


def planned(source: Source, survey: Survey, *, length: float | None, rate: int | None) -> Sequences:
    """Plan how a data set's sequences are stored; mean and deviation come later, from the training part.

    length: seconds of a sound, steps of others; None is the longest, where it is not far longer than most.
    rate: samples a second; None is the commonest of the files.
    """
    found = survey.readable
    if source.modality == "sound":
        rates = Counter(header.rate for header in found)
        rate = rate or rates.most_common(1)[0][0]
        steps = np.array([math.ceil(header.width * rate / header.rate) for header in found])
        whole = all(header.dtype == "int16" for header in found)
        wanted = enough(steps) if length is None else max(1, round(length * rate))
        return Sequences(
            modality="sound", channels=1, length=wanted, rate=rate, dtype="int16" if whole else "float32"
        )
    wanted = enough(survey.sizes[:, 0]) if length is None else max(1, round(length))
    if source.modality == "symbols":
        letters = len(source.alphabet)
        return Sequences(
            modality="symbols",
            channels=letters,
            length=wanted,
            alphabet=source.alphabet,
            dtype="uint8" if letters < 254 else "uint16",
        )
    channels = survey.channels
    plain = (0.0,) * channels, (1.0,) * channels
    return Sequences(modality="series", channels=channels, length=wanted, mean=plain[0], std=plain[1])


def enough(steps: NDArray[Any]) -> int:
    """Give a length that holds nearly all: the longest, unless it is over twice what 99 % need.

    >>> enough(np.array([5, 9, 7])), enough(np.array([10] * 999 + [5000]))
    (9, 10)
    """
    most = int(np.quantile(steps, 0.99, method="higher"))
    longest = int(np.max(steps))
    return longest if longest <= 2 * most else most


def header(data: bytes | NDArray[Any], modality: str) -> Header:
    """Read what a sequence says of itself: width is its steps, height is 1. Raises Unreadable."""
    return _reader(modality).header(data)  # type: ignore[no-any-return]


def decode(data: bytes | NDArray[Any], preprocess: Sequences) -> NDArray[Any]:
    """Give the raw steps (n, C') as they are stored, n any. Raises Unreadable."""
    return np.asarray(_reader(preprocess.modality).decode(data, preprocess))


def _reader(modality: str) -> Any:
    return importlib.import_module(f"striate.data.{modality}")


def measured(preprocess: Sequences, stored: NDArray[Any], rows: NDArray[np.int64]) -> Sequences:
    """Fill in mean and deviation from training rows, evenly taken: at most 8,192, of long ones fewer."""
    if preprocess.modality == "symbols":
        return preprocess
    most = min(4096, max(16, MOST_VALUES // math.prod(preprocess.stored)))
    some = np.sort(rows)[:: max(1, len(rows) // most)]
    values = np.asarray(stored[some], np.float64)
    if preprocess.modality == "sound":
        values = values / (FULL if preprocess.dtype == "int16" else 1.0)
        there = np.flip(np.maximum.accumulate(np.flip(values[:, :, 0] != 0, 1), 1), 1)
        std = float(np.sqrt(np.square(values[there]).mean())) if there.any() else 1.0
        return dataclasses.replace(preprocess, std=(std or 1.0,))
    values = values.reshape(-1, values.shape[2])
    values = values[~np.isnan(values).any(1)]
    if np.isin(values, (0, 1)).all():
        plain = (0.0,) * preprocess.channels, (1.0,) * preprocess.channels
        return dataclasses.replace(preprocess, binary=True, mean=plain[0], std=plain[1])
    std_of = values.std(0)
    std_of = np.where(std_of > 1e-9, std_of, 1.0)
    return dataclasses.replace(preprocess, mean=tuple(values.mean(0).tolist()), std=tuple(std_of.tolist()))
