"""Pooling, activations and the head; pictures as numbers; what minds a shift."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from striate.data.decode import Unreadable, decode
from striate.models.mlp import mlp
from striate.ops import average_pool, cross_correlate, l2_pool, max_pool, relu, softmax, tanh
from tests.seed_cases.facts import CASES, Case, deck_is_wrong, inspected, numbers, picture, random, shows


@shows("001-max-pool-4x4", "001-avg-pool-4x4", "004-max-pool-3x3-over-5x5", "004-avg-pool-3x3-over-5x5")
def pooled_by_hand(case: Case) -> None:
    window, stride = case.parameters["window"], case.parameters["stride"]
    pool = max_pool if "-max-" in case.id else average_pool
    found = pool(picture(case.inputs["x"]), tuple(window), stride=stride)
    torch.testing.assert_close(found, picture(case.recomputed), rtol=0, atol=5e-7)
    assert case.expected in (case.recomputed, "type named, no numbers")


@shows("002-l2-pooling")
def l2_and_average(case: Case) -> None:
    x, window = picture(case.inputs["x"]), tuple(case.parameters["window"])
    found = {"l2": l2_pool(x, window).item(), "avg": average_pool(x, window).item()}
    assert found == case.recomputed


@shows("000-pool-independent-maps")
def maps_are_pooled_apart(case: Case) -> None:
    x = torch.randn(2, 3, 6, 6)
    apart = [max_pool(x[:, c : c + 1], 2) for c in range(3)]
    assert torch.equal(max_pool(x, 2), torch.cat(apart, 1))


@shows("001-pooling-shift-tolerance")
def a_shift_inside_a_window_changes_nothing(case: Case) -> None:
    window, stride = tuple(case.parameters["window"]), case.parameters["stride"]
    x = torch.zeros(1, 1, 8, 8)
    x[..., 2, 4] = 1
    pooled = [max_pool(x.roll(shift, 3), window, stride=stride) for shift in (0, 1, 2)]
    assert torch.equal(pooled[0], pooled[1])
    assert not torch.equal(pooled[1], pooled[2])


@shows("004-relu")
def rectified(case: Case) -> None:
    assert relu(torch.tensor(case.inputs)).tolist() == case.recomputed


@shows("001-flatten")
def flattened_and_normalised(case: Case) -> None:
    assert inspected(nn.Flatten(), 3, 4, 5).layers[0].output == (3 * 4 * 5,)
    scores = mlp(10, 3, 4)(torch.randn(6, 3, 4, 4))
    torch.testing.assert_close(softmax(scores, 1).sum(1), torch.ones(6))
    assert (softmax(scores, 1) > 0).all()


@shows("004-softmax-presidents")
def probabilities_of_presidents(case: Case) -> None:
    printed = torch.tensor(list(case.expected.values()), dtype=torch.float64)
    found = softmax(printed.log() + 7, 0)  # softmax forgets a constant
    torch.testing.assert_close(found, printed)
    assert found.sum().item() == pytest.approx(case.recomputed["sum"])


# Pictures are numbers.


@shows("001-pixel-matrix")
def a_picture_is_a_matrix(case: Case) -> None:
    first = np.array(case.inputs["copy_1"], np.uint8)
    assert list(first.shape) == case.expected["shape"] == case.recomputed["shape"]
    found = [case.recomputed["min"], case.recomputed["max"]]
    assert [first.min(), first.max()] == found == case.parameters["range"] == case.expected["range"]
    assert all(
        first[row, column] == a != b
        for row, column, a, b in case.recomputed["cells_that_differ_between_the_two_printed_copies"]
    )
    file = io.BytesIO()
    Image.fromarray(first).save(file, "PNG")
    for source in (file.getvalue(), first):
        assert np.array_equal(decode(source, 1, "uint8")[..., 0], first)


@shows("004-pixel-matrices")
def a_matrix_with_empty_cells_is_no_picture(case: Case) -> None:
    rows, columns, empty, other_rows, other_columns = map(int, numbers(case.recomputed))
    whole = np.array(CASES["001-pixel-matrix"].inputs["copy_1"], np.float32)
    deck_is_wrong(case, (rows, columns), whole.shape)
    deck_is_wrong(case, (other_rows, other_columns), whole.shape)
    broken = whole[:rows, :columns].copy()
    broken.flat[:empty] = np.nan
    with pytest.raises(Unreadable, match="no numbers"):
        decode(broken, 1, "float32")


# Shifts: who minds them.


@shows("000-mlp-shift-sensitivity")
def a_perceptron_minds_a_shift(case: Case) -> None:
    inputs, hidden, outputs = (int(n) for n in re.findall(r"(\d+)-(\d+)-(\d+)", case.recomputed)[0])
    network, x = mlp(outputs, 1, math.isqrt(inputs), (hidden,)), torch.randn(1, inputs)
    assert (network(x) - network(x.roll(1, 1))).abs() > 1e-3


@shows("000-scan-shift-invariance")
def a_scanner_does_not(case: Case) -> None:
    window, length = case.inputs["window"], case.inputs["signal_length"]
    first, second = nn.Linear(window, 5).double(), nn.Linear(5, 1).double()
    pattern, answers = random(window), []
    for start in case.inputs["pattern_at"]:
        x = torch.zeros(length, dtype=torch.float64)
        x[start : start + window] = pattern
        by_window = second(tanh(first(x.unfold(0, window, 1))))[:, 0]
        hidden = tanh(cross_correlate(x[None, None], first.weight[:, None], first.bias))
        as_convolution = cross_correlate(hidden, second.weight[..., None], second.bias)[0, 0]
        torch.testing.assert_close(as_convolution, by_window)
        answers.append(as_convolution.max())
    assert answers[0] == answers[1]


@shows("000-shift-equivariance")
def a_map_moves_with_its_picture(case: Case) -> None:
    rows, columns = map(int, numbers(case.inputs)[-2:])
    x = random(1, 1, rows, columns)
    kernel = random(1, 1, *case.parameters["kernel"])
    how = {"stride": case.parameters["stride"], "padding": case.parameters["padding"]}
    moved = cross_correlate(x.roll(1, 3), kernel, **how)
    found = cross_correlate(x, kernel, **how).roll(1, 3)
    assert torch.equal(moved[..., 2:-1], found[..., 2:-1])
    assert not torch.allclose(moved, found)


@shows("003-1d-nets")
def a_motif_is_found_wherever_it_sits(case: Case) -> None:
    assert len(case.inputs) == 3
    for symbols in (4, 26, 88):  # DNA, letters, piano keys

        def one_hot(sequence: Tensor, symbols: int = symbols) -> Tensor:
            return nn.functional.one_hot(sequence, symbols).T[None].double()

        motif = torch.randint(symbols, (6,))
        for start in (0, 17, 44):
            sequence = torch.randint(symbols, (50,))
            without = cross_correlate(one_hot(sequence), one_hot(motif))
            sequence[start : start + 6] = motif
            found = cross_correlate(one_hot(sequence), one_hot(motif))
            assert found.argmax() == start
            assert found.max() == 6 > without.max()
