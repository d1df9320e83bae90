"""Where an epoch of ResNet-20 on CIFAR-10 (JPEG) goes: read, decode, augment, forward, backward, update.

    python benchmarks/parts.py

Reading and decoding happen once, before the first epoch; the rest is measured on 30 batches and scaled to
the epoch's number of steps.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from striate.data.augment import parse
from striate.data.batches import Batches
from striate.data.pictures import measured, targets_of
from striate.data.preprocess import Preprocess
from striate.data.sources import open_source
from striate.data.store import build, survey
from striate.models.resnet import resnet20

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
MEASURED = 30


def main() -> None:
    times: dict[str, float] = defaultdict(float)
    mark = time.perf_counter()

    def took(part: str) -> None:
        nonlocal mark
        now = time.perf_counter()
        times[part] += now - mark
        mark = now

    source = open_source(str(SHARED / "cifar10-jpeg.zip"))
    seen = survey(source)
    took("read (once)")
    preprocess = Preprocess(channels=3, size=32)
    store = build(source, seen, preprocess, cache=False)
    took("decode (once)")
    rows = np.array([r for r, i in enumerate(store.rows) if source.samples[i].split == "train"])
    preprocess = measured(preprocess, store.pixels, rows)
    targets = targets_of(source, store, source.classes)
    augment = parse("light", flips=True, photos=False)
    batches = Batches(store.pixels, targets, rows, preprocess, batch=128, seed=0, augment=augment)
    model = resnet20().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rule = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, fused=True)
    for step in range(-3, MEASURED):
        if step == 0:  # the first steps prepare the kernels
            once = {part: seconds for part, seconds in times.items() if "once" in part}
            times.clear()
        mark = time.perf_counter()
        batch = batches.at(0, step + 3)
        took("augment")
        loss = F.cross_entropy(model(batch.inputs), batch.targets)
        took("forward")
        rule.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        took("backward")
        rule.step()
        took("update")
    epoch = {part: seconds / MEASURED * batches.steps for part, seconds in times.items()}
    print(f"one epoch of {len(rows):,} pictures: {sum(epoch.values()):.1f} s")
    for part, seconds in (once | epoch).items():
        print(f"  {part:14} {seconds:6.1f} s   {seconds / sum(epoch.values()):6.1%} of an epoch")


if __name__ == "__main__":
    main()
