"""The names that users import, and what importing them costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import striate

PUBLIC = [
    "Recipe", "Run", "StriateError", "__version__",
    "check", "encode", "evaluate", "explain", "inspect", "load", "predict", "reconstruct", "scan", "stress",
    "train", "train_several",
]  # fmt: skip


def test_the_public_names_are_these_and_no_others() -> None:
    assert sorted(striate.__all__) == PUBLIC
    assert set(PUBLIC) <= set(dir(striate))


def test_every_public_name_can_be_used() -> None:
    for name in PUBLIC:
        assert getattr(striate, name) is not None


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    assert not hasattr(striate, "trian")


def test_no_public_name_hides_a_folder_of_the_package() -> None:
    folders = "data models ops runs summary training report cli explain stress scan"
    for folder in folders.split():
        module = importlib.import_module(f"striate.{folder}")
        assert getattr(striate, folder) is module


def test_importing_striate_imports_nothing_heavy() -> None:
    code = (
        "import sys, striate, striate.errors, striate.events, striate.files, striate.runs.recipe;"
        "print(*{'torch', 'numpy', 'matplotlib', 'sklearn', 'pydantic', 'PIL'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == []
