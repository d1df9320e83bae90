"""The run folder: everything about one training, in files that a person can read.

recipe.toml          what was asked, fully resolved
run.json             what happened: classes, preprocessing, versions, hardware, data, metrics
split.csv            which picture was on which side
history.jsonl        one line an epoch
health.jsonl         how the layers did before, during and after training
model.safetensors    the weights that are kept
checkpoint/          where to go on from
report.html          the story
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.errors import DataError, RunError
from striate.files import write_json, write_text
from striate.runs import recipe as recipes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from striate.runs.predict import Prediction
    from striate.runs.recipe import Recipe

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """A run on disk. ``trusted``: its model may be code from outside striate."""

    path: Path
    trusted: bool = False
    given_model: Any = None

    @property
    def recipe(self) -> Recipe:
        """What was asked."""
        return recipes.read(self.path / "recipe.toml")

    @property
    def info(self) -> dict[str, Any]:
        """What happened: run.json. Raises RunError when missing, damaged or of a newer version."""
        path = self.path / "run.json"
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            version = info["format"]
        except FileNotFoundError as error:
            raise RunError(
                f"{self.path} is not a run folder: it has no run.json.",
                "Give the folder that striate train printed.",
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                f"{path} is damaged: {' '.join(str(error).split())[:120]}", "Restore the file or train again."
            ) from error
        if version != FORMAT:
            raise RunError(
                f"{self.path} was written by another version of striate (format {version}).",
                f"This version reads format {FORMAT}: update striate.",
            )
        for key in ("status", "task", "model", "classes", "preprocess", "data", "metrics", "seconds"):
            if key not in info:
                raise RunError(f"{path} is damaged: it has no {key!r}.", "Restore the file or train again.")
        return dict(info)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One record an epoch."""
        return _lines(self.path / "history.jsonl")

    @property
    def health(self) -> list[dict[str, Any]]:
        """Records of the layers' health, from before the first step to after the last."""
        return _lines(self.path / "health.jsonl")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the network's outputs."""
        return tuple(self.info["classes"])

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """Final figures of each split."""
        return dict(self.info["metrics"])

    @property
    def precision(self) -> str:
        """Numbers the network was trained with, and answers with."""
        return self.recipe.precision or "float32"

    @cached_property
    def model(self) -> torch.nn.Module:
        """The trained network, in evaluation mode."""
        from striate.runs.load import model_of

        return model_of(self)

    @cached_property
    def fastest(self) -> torch.nn.Module:
        """The trained network in the form that answers fastest here, the answers the same within rounding.

        Chosen by measuring when it is first asked for; later changes of ``model``'s weights do not reach it.
        """
        from striate.runs.load import fastest_of

        return fastest_of(self)

    def predict(self, pictures: Any, batch: int = 64) -> list[Prediction]:
        """Say what pictures show: paths, PIL pictures or arrays (H, W[, C]), one, a list or (N, H, W, C).

        Raises DataError for one that cannot be read.
        """
        from striate.runs.predict import predict

        several = isinstance(pictures, (list, tuple)) or getattr(pictures, "ndim", 0) == 4
        many: Sequence[Any] = list(pictures) if several else [pictures]
        predictions, unreadable = predict(self, many, batch=batch)
        if unreadable:
            name, reason = unreadable[0]
            raise DataError(f"Cannot read {name}: {reason}.", "Leave it out, or give another picture.")
        return predictions

    def write_info(self, info: dict[str, Any]) -> None:
        """Write run.json."""
        write_json(self.path / "run.json", {"format": FORMAT} | info)

    def write_history(self, lines: Sequence[dict[str, Any]]) -> None:
        """Write history.jsonl whole; it is small."""
        _write_lines(self.path / "history.jsonl", lines)

    def write_health(self, records: Sequence[dict[str, Any]]) -> None:
        """Write health.jsonl whole, as the history."""
        _write_lines(self.path / "health.jsonl", records)

    def _repr_html_(self) -> str:
        info = self.info
        figures = "".join(
            f"<tr><td>{html.escape(split)}</td><td>{html.escape(name)}</td><td>{value:.4g}</td></tr>"
            for split, values in info["metrics"].items()
            for name, value in values.items()
            if value is not None
        )
        return (
            f"<b>{html.escape(str(info['model']))}</b> on {html.escape(str(info['data']['name']))}"
            f" ({html.escape(info['status'])}): <code>{html.escape(str(self.path))}</code>"
            f"<table>{figures}</table>"
        )


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}.", "Restore the file or train again.") from error


def _write_lines(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    write_text(path, "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))


def check_free(out: Path | None) -> None:
    """Raise RunError where ``out`` holds something already."""
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        resumable = f"Go on with --resume {out}, or c" if (out / "run.json").exists() else "C"
        raise RunError(f"{out} already exists and is not empty.", f"{resumable}hoose another --out.")


def new_folder(out: Path | None, name: str) -> Path:
    """Make the folder of a new run: ``out``, or the next free runs/NAME-number. Raises RunError."""
    check_free(out)
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            return out
        root, number = Path("runs"), 1
        root.mkdir(exist_ok=True)
        while (root / f"{name}-{number:03}").exists():
            number += 1
        path = root / f"{name}-{number:03}"
        path.mkdir()
    except FileExistsError as error:
        if Path("runs").is_dir():  # another run took the number in between
            return new_folder(out, name)
        raise _cannot_make(Path("runs"), error) from error
    except OSError as error:
        raise _cannot_make(out or Path("runs"), error) from error
    else:
        return path


def _cannot_make(path: Path, error: OSError) -> RunError:
    return RunError(
        f"Cannot make the run folder {path}: {error.strerror}.", "Choose another place with --out."
    )
