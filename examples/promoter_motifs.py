"""What a network that knows promoters looks for: motifs of its first kernels, as logos.

    python examples/promoter_motifs.py         3,839 sequences of E. coli: some minutes on one core
    python examples/promoter_motifs.py --quick

Sigma-70 binds TTGACA some 35 bases before the start of transcription and TATAAT some 10 before; nobody tells
the network. For each box the kernel is shown whose motif is most like it. Positions are of the box's first
base, the start of transcription being +1, in the promoters; the height of a column is its information.
Data: Umarov and Solovyev 2017; logos: Schneider and Stephens 1990.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from example import SHARED, canvas, course, finish, options

from striate.data.sources import open_source
from striate.explain.motifs import Motif, motifs

if TYPE_CHECKING:
    from torch import Tensor

BOXES = {"-35 box": ("TTGACA", -36), "-10 box": ("TATAAT", -12)}
LETTERS, START = "ACGT", 60  # the start of transcription is the 61st base
COLOURS = dict(zip(LETTERS, ("#2a9d5c", "#2f6fd0", "#d99a1c", "#d04a3a"), strict=True))


def main() -> None:
    """Train, read the motifs from the promoters, draw the two that are like the boxes."""
    given = options(__doc__ or "", data=str(SHARED / "ecoli-promoters"), pictures=0, epochs=16, quick=(0, 1))
    run, _ = course("dna", given, model="dna", val=0.0, test=0.0, tune="off")
    assert run is not None
    found = motifs(run.model, promoters(given.data), above=0.7)
    figure, axes = canvas(2, height=2.4)
    rows = []
    for axis, (name, (box, usual)) in zip(axes[0], BOXES.items(), strict=True):
        motif, at = likest(found, box)
        places = motif.positions + at - START + 1
        places = np.where(places <= 0, places - 1, places)  # there is no base 0
        draw(axis, motif, f"{name}, kernel {motif.unit}")
        rows.append(
            (name, box, motif.unit, motif.consensus(LETTERS), f"{motif.bits.sum():.1f}", len(places),
             f"{np.median(places):.0f}", f"{100 * np.mean(abs(places - usual) <= 4):.0f}")
        )  # fmt: skip
    heads = (
        "box",
        "known",
        "kernel",
        "consensus",
        "bits",
        "windows",
        "median position",
        "within 4 of its place, %",
    )
    finish(figure, "promoter_motifs", given, heads, rows)


def promoters(data: str) -> Tensor:
    """Read the promoters as (N, 4, 81) one-hot bases."""
    source = open_source(data)
    texts = [bytes(source.read(i)).decode() for i, s in enumerate(source.samples) if s.target == "promoters"]
    codes = torch.tensor([[LETTERS.index(letter) for letter in text] for text in texts])
    return torch.nn.functional.one_hot(codes, 4).transpose(1, 2).float()


def likest(found: list[Motif], box: str) -> tuple[Motif, int]:
    """Give the motif whose logo shows most of a box, and at which of its places the box begins."""
    rows = [LETTERS.index(letter) for letter in box]
    likeness: dict[tuple[int, int], float] = {}
    for number, motif in enumerate(found):
        heights = motif.shares * motif.bits
        for at in range(heights.shape[1] - len(box) + 1):
            likeness[number, at] = float(heights[rows, np.arange(at, at + len(box))].sum())
    number, at = max(likeness, key=lambda key: likeness[key])
    return found[number], at


def draw(axis: Any, motif: Motif, title: str) -> None:
    """Draw a logo: each column as high as its information, its letters by their shares."""
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    for tap, (shares, bits) in enumerate(zip(motif.shares.T, motif.bits, strict=True)):
        base = 0.0
        for letter, share in sorted(zip(LETTERS, shares, strict=True), key=lambda pair: pair[1]):
            outline = TextPath((0, 0), letter, size=1)
            left, bottom, width, height = outline.get_extents().bounds
            moved = Affine2D().translate(-left, -bottom).scale(0.9 / width, share * bits / height)
            axis.add_patch(
                PathPatch(
                    moved.translate(tap + 0.55, base).transform_path(outline), color=COLOURS[letter], lw=0
                )
            )
            base += share * bits
    axis.set(xlim=(0.4, len(motif.bits) + 0.6), ylim=(0, 2), ylabel="bits", title=title)
    axis.set_xticks(range(1, len(motif.bits) + 1))


if __name__ == "__main__":
    main()
