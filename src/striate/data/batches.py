"""Batches at a seeded position: which pictures, how augmented, follows from (seed, epoch, step) alone.

Nothing is carried from one batch to the next, so training continues from any step, and threads may prepare
batches ahead without changing them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from striate.data import draws, transform
from striate.data.augment import Augment
from striate.data.preprocess import Preprocess
from striate.data.sequence import Sequences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from striate.data.sequence_augment import SequenceAugment

# A sample that is drawn again in the same epoch gets draws of its own: its number plus this, each time.
AGAIN = 1 << 40


@dataclass(frozen=True)
class Batch:
    """What one step trains on.

    inputs: (N, C, H, H) float32, normalised, channels last in memory, or sequences (N, C, L).
    targets: (N,) class (int64) or number (float32).   partners, share: (N,) the other picture's target, and
    the weight of ``targets`` (that of ``partners`` is 1 - share); None where nothing is mixed.
    index: (N,) rows of the pixels.
    """

    inputs: Tensor
    targets: Tensor
    partners: Tensor | None
    share: Tensor | None
    index: NDArray[np.intp]

    def resized(self, side: int) -> Batch:
        """Give the same batch with pictures of another side, antialiased."""
        smaller = F.interpolate(self.inputs, (side, side), mode="bilinear", antialias=True)
        return dataclasses.replace(self, inputs=smaller.contiguous(memory_format=torch.channels_last))


class Batches:
    """All batches of a training.

    pixels: (M, H, H, C) uint8, uint16 or float32, or sequences (M, L, C'), memory-mapped or not.
    targets: (M,) class or number.   rows: the pixels' rows to train on.
    weights: one a row of ``rows``: how often it is drawn, with replacement; without them every row comes once
    an epoch.   steps: batches an epoch, at least 1; an
    incomplete last batch is left out unless it is the only one.
    resident: keep all pixels on the device, so that a batch is gathered there; None where there is room.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        targets: NDArray[Any],
        rows: NDArray[Any],
        preprocess: Preprocess | Sequences,
        *,
        batch: int,
        seed: int,
        augment: Augment | SequenceAugment,
        weights: NDArray[Any] | None = None,
        device: str | torch.device = "cpu",
        resident: bool | None = None,
    ) -> None:
        self.device = torch.device(device)
        resident = fits(pixels, self.device) if resident is None else resident
        self.pixels, self.rows, self.preprocess = pixels, rows, preprocess
        self._source = transform.onto(np.array(pixels), self.device) if resident else pixels
        self.targets = targets.astype(np.float32 if targets.dtype.kind == "f" else np.int64)
        self.seed, self.augment, self.weights = seed, augment, weights
        self.batch = min(batch, len(rows))
        self.steps = len(rows) // self.batch
        # Two epochs are remembered because threads prepare across the border between them.
        self._order = functools.lru_cache(maxsize=2)(self._ordered)

    def at(self, epoch: int, step: int) -> Batch:
        """Make one batch; always the same for the same arguments, on any thread.

        step: 0 <= step < steps.
        """
        index, samples = (part[step * self.batch : (step + 1) * self.batch] for part in self._order(epoch))
        if isinstance(self.preprocess, Sequences):
            x = _channels_first(_gathered(self._source, index, self.device))
            if not isinstance(self.augment, Augment):
                x = self.augment.apply(x, self.seed, epoch, samples, self.preprocess)
            return Batch(self.preprocess.tensor(x), self._targets(index), None, None, index)
        assert isinstance(self.augment, Augment)
        mixes = bool(self.augment.mixup or self.augment.cutmix)
        # A second set of columns is for the partner's own augmentation.
        columns = len(transform.COLUMNS)
        drawn = draws.uniform(self.seed, epoch, samples, columns * (1 + mixes))
        own = transform.named(drawn[:, :columns])
        if self.augment.alternate:
            own["flip"] = self._alternating(epoch, samples)
        if not mixes:
            x = self._augmented(index, own)
            return Batch(self._normalised(x), self._targets(index), None, None, index)
        other = self.rows[(own["partner"] * len(self.rows)).astype(np.intp)]
        x = self._augmented(index, own)
        partner = self._augmented(other, transform.named(drawn[:, columns:]))
        x, share = transform.mixed(x, partner, own, self.augment)
        return Batch(self._normalised(x), self._targets(index), self._targets(other), share, index)

    def _ordered(self, epoch: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Give an epoch's rows in their order, and the number under which each has its draws."""
        if self.weights is None:
            index = self.rows[draws.permutation(self.seed, epoch, len(self.rows))]
            return index, index
        index = self.rows[draws.weighted(self.seed, epoch, self.weights)]
        return index, index + AGAIN * draws.occurrences(index)

    def _alternating(self, epoch: int, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Take the first epoch's draws for flips, and their opposites in every second: (N,).

        In two passes a picture is seen once each way, never twice the same (Jordan 2024, section 3.6).
        """
        flip = transform.COLUMNS.index("flip")
        first = draws.uniform(self.seed, 0, samples, flip + 1)[:, flip]
        return 1 - first if epoch % 2 else first

    def _augmented(self, index: NDArray[np.intp], own: transform.Draws) -> Tensor:
        assert isinstance(self.augment, Augment)
        assert isinstance(self.preprocess, Preprocess)
        x = _gathered(self._source, index, self.device)
        return transform.augmented(x, own, self.augment, self.preprocess)

    def _normalised(self, x: Tensor) -> Tensor:
        return self.preprocess.tensor(x).contiguous(memory_format=torch.channels_last)

    def _targets(self, index: NDArray[np.intp]) -> Tensor:
        return transform.onto(self.targets[index], self.device)


def ahead(make: Callable[[int], Batch], positions: Iterable[int], workers: int) -> Iterator[Batch]:
    """Make the batches at the given positions in threads, and yield them in order.

    workers: threads, and batches under way while one is used; 0 makes each when it is asked for.
    An error in ``make`` is raised where its batch would have come. Closing the iterator stops the threads.
    """
    if workers == 0:
        yield from map(make, positions)
        return
    torch.get_num_threads()  # settles this thread's own number before the workers set theirs
    # A worker with threads of its own would take the cores from the training step.
    pool = ThreadPoolExecutor(workers, "batches", initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Any] = deque()
    try:
        for position in positions:
            waiting.append(pool.submit(make, position))
            if len(waiting) > workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def plain(
    pixels: NDArray[Any],
    rows: NDArray[Any],
    preprocess: Preprocess | Sequences,
    batch: int,
    device: str | torch.device = "cpu",
) -> Iterator[Tensor]:
    """Yield ``rows`` in order, normalised and otherwise as they are: (N, C, H, H) or (N, C, L) float32."""
    for start in range(0, len(rows), batch):
        x = _gathered(pixels, rows[start : start + batch], torch.device(device))
        yield laid(preprocess.tensor(_channels_first(x)), torch.channels_last)


def laid(x: Tensor, layout: torch.memory_format) -> Tensor:
    """Lay pictures in memory as asked; what is no batch of pictures has one layout only."""
    return x.contiguous(memory_format=layout if x.dim() == 4 else torch.contiguous_format)


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)


def fits(pixels: NDArray[Any], device: torch.device) -> bool:
    """Tell whether all pixels may stay on a GPU: in a quarter of what is free, the rest is the network's."""
    return device.type == "cuda" and pixels.nbytes * 4 <= torch.cuda.mem_get_info(device)[0]


def _gathered(pixels: NDArray[Any] | Tensor, index: NDArray[Any], device: torch.device) -> Tensor:
    if isinstance(pixels, Tensor):
        return pixels.index_select(0, transform.onto(index, device))
    return transform.onto(np.asarray(pixels[index]), device)
