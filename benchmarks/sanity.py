"""How far each map moves when the weights are drawn anew: Spearman's rank correlation, two draws.

    python benchmarks/sanity.py RUN [RUN...]

Four held-out pictures of each run; for each method the correlation with the upper half of the layers random,
and with all of them random. A map that stays above 0.5 shows more of the picture than of the network.
"""

from __future__ import annotations

import argparse
from functools import partial

from striate import explain, load
from striate.api.labelled import labelled
from striate.data.batches import plain
from striate.runs.load import preprocess_of

PICTURES, DRAWS = 4, 2
METHODS = {
    "gradient": explain.saliency,
    "integrated gradients": explain.integrated_gradients,
    "Grad-CAM": explain.grad_cam,
    "occlusion": explain.occlusion,
    "deconvnet": explain.deconvnet,
    "guided backpropagation": explain.guided_backpropagation,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="+")
    for path in parser.parse_args().runs:
        run = load(path)
        found = labelled(run)
        x = next(plain(found.pixels, found.rows[:PICTURES], preprocess_of(run), PICTURES))
        target = run.model(x).argmax(1).detach()
        print(f"{path}: {run.info['model']}, {tuple(x.shape)}")
        for name, method in METHODS.items():
            fixed = partial(method, target=target)
            drawn = [explain.sanity(run.model, x, fixed, seed=seed).by_depth for seed in range(DRAWS)]
            upper, every = (", ".join(f"{one[depth][1]:.2f}" for one in drawn) for depth in (0, 1))
            print(f"  {name:<24} {upper:>14} / {every}")


if __name__ == "__main__":
    main()
