"""Inception modules put their branches side by side; the two forms differ as the paper and torchvision do."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from striate.models.googlenet import GoogLeNet, GoogLeNetOutputs, Head, Inception, googlenet, googlenet_2014


@pytest.mark.parametrize("as_published", [True, False])
def test_a_module_is_its_four_branches_side_by_side(as_published: bool) -> None:
    torch.manual_seed(0)
    module, x = Inception(3, 4, 2, 5, 3, 6, 7, as_published=as_published).eval(), torch.randn(2, 3, 9, 8)
    four = [module.get_submodule(f"branch{number}")(x) for number in (1, 2, 3, 4)]
    assert [y.shape[1] for y in four] == [4, 5, 6, 7]
    assert torch.equal(module(x), torch.cat(four, 1))
    assert module(x).shape == (2, 22, 9, 8)


def test_the_published_branches_are_figure_2b() -> None:
    torch.manual_seed(0)
    module, x = Inception(3, 4, 2, 5, 3, 6, 7, as_published=True), torch.randn(2, 3, 9, 8)
    p = module.state_dict()

    def conv(x: torch.Tensor, name: str, padding: int = 0) -> torch.Tensor:
        return F.relu(F.conv2d(x, p[f"{name}.conv.weight"], p[f"{name}.conv.bias"], padding=padding))

    expected = [
        conv(x, "branch1"),
        conv(conv(x, "branch2.0"), "branch2.1", 1),
        conv(conv(x, "branch3.0"), "branch3.1", 2),
        conv(F.max_pool2d(x, 3, 1, padding=1), "branch4.1"),
    ]
    torch.testing.assert_close(module(x), torch.cat(expected, 1))


def test_only_the_published_form_has_5x5_and_response_normalisation_and_no_batch_norm() -> None:
    with torch.device("meta"):
        published, torchvisions = list(googlenet_2014().modules()), list(googlenet().modules())
    for modules, is_published in ((published, True), (torchvisions, False)):
        kernels = [module.kernel_size for module in modules if isinstance(module, nn.Conv2d)]
        assert ((5, 5) in kernels) is is_published
        assert sum(isinstance(module, nn.LocalResponseNorm) for module in modules) == 2 * is_published
        assert any(isinstance(module, nn.BatchNorm2d) for module in modules) is not is_published


def test_the_published_head_averages_5x5_at_every_third_place() -> None:
    x = torch.randn(2, 8, 14, 14)
    torch.testing.assert_close(Head(8, 3, as_published=True).pool(x), F.avg_pool2d(x, 5, 3))
    assert Head(8, 3, as_published=True).pool(x[..., :9, :5]).shape == (2, 8, 4, 4)


def test_heads_speak_in_training_only_the_later_one_first() -> None:
    with torch.device("meta"):
        x, model = torch.empty(2, 3, 64, 64), googlenet(classes=5, use_heads=True)
        outputs = model(x)
        assert isinstance(outputs, GoogLeNetOutputs)
        assert outputs._fields == ("logits", "aux_logits2", "aux_logits1")
        assert model.eval()(x).shape == (2, 5)
    assert GoogLeNet.heads == ("aux1", "aux2")
    for head, output in (("aux1", outputs.aux_logits1), ("aux2", outputs.aux_logits2)):
        model.zero_grad()
        output.sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
        reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
        assert head in reached
        assert "inception4e" not in reached
        assert ("inception4b" in reached) is (head == "aux2")


def test_the_small_stem_keeps_small_pictures_large() -> None:
    sizes = []
    with torch.device("meta"):
        for small in (False, True):
            model = googlenet(small=small)
            model.get_submodule("inception3a").register_forward_hook(
                lambda _m, inputs, _o: sizes.append(inputs[0].shape[-1])
            )
            model(torch.empty(2, 3, 32, 32))
    assert sizes == [4, 16]
