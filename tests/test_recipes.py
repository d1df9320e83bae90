"""The recipes that come with striate: each can be read, names a network, says what it is, and trains."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import api
from striate.errors import RecipeError
from striate.models import registry
from striate.runs.recipe import PACKAGED, named, packaged

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "recipes.md"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve small pictures of each of two classes."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for name, shade in (("cat", 0), ("dog", 150)):
        (folder / name).mkdir()
        for i in range(12):
            pixels = (random.integers(0, 100, (32, 32, 3)) + shade).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


def header(name: str) -> dict[str, str]:
    """Read the comments above a recipe's keys: the first line is its title."""
    lines = (PACKAGED / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if line.startswith("#"))
    joined = text.replace("\n#   ", " ")
    title, *rest = (line.removeprefix("#").strip() for line in joined.splitlines())
    return {"Title": title} | dict(line.split(": ", 1) for line in rest if line)


@pytest.mark.parametrize("name", packaged())
def test_each_says_what_it_is_and_names_a_network(name: str) -> None:
    recipe = named(name)
    assert recipe.model is not None
    assert registry.is_ours(recipe.model), recipe.model
    told = header(name)
    assert {"Title", "Paper", "As published", "Otherwise", "Expected", "Seconds"} <= told.keys()
    assert all(told.values())
    # What a recipe leaves open would follow from the machine that it is repeated on.
    assert None not in {recipe.batch, recipe.optimizer, recipe.lr, recipe.weight_decay, recipe.augment}
    assert recipe.epochs is not None or recipe.steps is not None


def test_each_has_a_quick_one_and_the_other_way_round() -> None:
    names = set(packaged())
    assert {f"{name.removesuffix('-quick')}{end}" for name in names for end in ("", "-quick")} == names


@pytest.mark.parametrize("name", [name for name in packaged() if name.endswith("-quick")])
def test_each_quick_one_trains(name: str, pictures: Path, tmp_path: Path) -> None:
    run = api.train(pictures, recipe=name, out=tmp_path / "run", steps=2, batch=8)
    assert run.info["status"] == "finished"
    assert run.info["model"] == named(name).model


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlp-quick").write_text("epochs = 77\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert named("mlp-quick").epochs == 77
    assert named(Path("resnet-cifar")).steps == 64_000


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(RecipeError, match="Unknown recipe 'resnet-cfar'") as caught:
        named("resnet-cfar")
    assert "Did you mean resnet-cifar?" in caught.value.hint
    assert all(name in caught.value.hint for name in packaged())
    with pytest.raises(RecipeError) as caught:
        named("qqq")
    assert caught.value.hint.startswith("Known: ")
    with pytest.raises(RecipeError, match=r"Cannot read the recipe resnet-cifar\.toml"):
        named("resnet-cifar.toml")


def test_the_page_lists_them() -> None:
    rows = [
        f"| `{name}` | `{named(name).model}` | {header(name)['Title']} | {header(name)['Expected']} "
        f"| {header(name)['Seconds']} |"
        for name in packaged()
    ]
    page = PAGE.read_text(encoding="utf-8")
    if os.environ.get("ACCEPT"):
        page = re.sub(
            r"(\|---.*?\n)(\|.*?\n)*", lambda match: match[1] + "\n".join(rows) + "\n", page, count=1
        )
        PAGE.write_text(page, encoding="utf-8")
    assert re.findall(r"^\| `.*", page, re.MULTILINE) == rows, (
        "run: ACCEPT=1 sh scripts/test tests/test_recipes.py"
    )


def test_each_network_has_its_row_among_the_reproductions() -> None:
    page = (ROOT / "docs" / "reproductions.md").read_text(encoding="utf-8").partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    systems = {name for name in packaged() if not name.endswith("-quick")}
    assert {row[0] for row in rows} == systems
    for row in rows:
        assert re.search(r"\d %|not run", row[2]), row
