"""Dense layers put what is new beside what they read."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from striate.models.densenet import DenseLayer, DenseNet, densenet40, densenet121


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_layer_passes_its_input_on_and_adds_k_maps(bottleneck: bool) -> None:
    torch.manual_seed(0)
    layer, x = DenseLayer(8, 3, bottleneck=bottleneck).eval(), torch.randn(2, 8, 5, 7)
    before, y = x.clone(), layer(x)
    assert torch.equal(x, before)
    assert y.shape == (2, 11, 5, 7)
    assert torch.equal(y[:, :8], x)
    p = layer.state_dict()
    h = F.relu(x / (1 + 1e-5) ** 0.5)  # a new norm in evaluation
    h = F.conv2d(h, p["conv1.weight"], padding=0 if bottleneck else 1)
    if bottleneck:
        h = F.conv2d(F.relu(h / (1 + 1e-5) ** 0.5), p["conv2.weight"], padding=1)
    torch.testing.assert_close(y[:, 8:], h)


def test_what_a_layer_reads_grows_by_k_and_a_transition_halves_it() -> None:
    with torch.device("meta"):
        state = densenet121().state_dict()
    reads = [state[f"features.denseblock2.denselayer{i}.conv1.weight"].shape[1] for i in range(1, 13)]
    assert reads == list(range(128, 128 + 12 * 32, 32))
    assert state["features.transition2.conv.weight"].shape == (256, 512, 1, 1)


def test_the_basic_form_has_no_bottleneck_and_keeps_its_channels() -> None:
    with torch.device("meta"):
        state = densenet40().state_dict()
    assert state["features.conv0.weight"].shape == (16, 3, 3, 3)
    assert state["features.denseblock3.denselayer12.conv1.weight"].shape == (12, 16 + 35 * 12, 3, 3)
    assert state["features.transition1.conv.weight"].shape == (160, 160, 1, 1)
    assert not any("denselayer1.conv2" in name for name in state)


@pytest.mark.parametrize(("small", "side"), [(False, 8), (True, 32)])
def test_the_small_stem_keeps_small_pictures_large(small: bool, side: int) -> None:
    model = DenseNet(2, (1, 1), classes=3, channels=1, stem=4, compressed=True, small=small)
    sizes: list[int] = []
    model.get_submodule("features.denseblock1").register_forward_hook(
        lambda _m, inputs, _o: sizes.append(inputs[0].shape[-1])
    )
    assert model(torch.randn(2, 1, 32, 32)).shape == (2, 3)
    assert sizes == [side]
