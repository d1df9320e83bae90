"""Bad input through the command line: two lines at most that say what to do, exit code 2, nothing lost."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import struct
import tarfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from striate.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

QUICK = ["--epochs", "1", "--model", "mlp", "--size", "8", "--batch", "8", "--offline"]
SETTINGS = QUICK[2:]


def picture(shade: int, seed: int, size: int = 12) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 100, (size, size, 3))
    return Image.fromarray((noise + shade).astype(np.uint8))


def folder(root: Path, **classes: int) -> Path:
    """Write so many small pictures of each class."""
    for number, (name, count) in enumerate((classes or {"cat": 12, "dog": 12}).items()):
        (root / name).mkdir(parents=True)
        for i in range(count):
            picture(number * 100, number * 1000 + i).save(root / name / f"{i:02}.png")
    return root


def png_bytes() -> bytes:
    data = io.BytesIO()
    picture(0, 0).save(data, "PNG")
    return data.getvalue()


def fails(capsys: pytest.CaptureFixture[str], words: list[str], code: int = 2) -> str:
    """Run a command that must fail as promised; give what it said. train has --json: events go to stdout."""
    extra = ["--json"] if words[0] == "train" else []
    assert main([*words, *extra]) == code
    captured = capsys.readouterr()
    for line in captured.out.splitlines():
        json.loads(line)
    assert "Traceback" not in captured.err
    assert "internal error" not in captured.err
    assert 1 <= len(captured.err.splitlines()) <= 2, captured.err
    return captured.err


# ---- what cannot be opened --------------------------------------------------------------------------


def no_such_folder(_tmp: Path) -> list[str]:
    return ["nowhere/photos"]


def no_images(tmp: Path) -> list[str]:
    (tmp / "d" / "cat").mkdir(parents=True)
    (tmp / "d" / "cat" / "notes.txt").write_text("none")
    return [str(tmp / "d")]


def empty_folder(tmp: Path) -> list[str]:
    (tmp / "d").mkdir()
    return [str(tmp / "d")]


def one_class(tmp: Path) -> list[str]:
    return [str(folder(tmp / "d", cat=12))]


def only_broken(tmp: Path) -> list[str]:
    for name in ("cat", "dog"):
        (tmp / "d" / name).mkdir(parents=True)
        (tmp / "d" / name / "a.jpg").write_bytes(b"")
        (tmp / "d" / name / "b.jpg").write_text("a text")
    return [str(tmp / "d")]


def _zip(tmp: Path, name: str, *, link: bool = False) -> list[str]:
    path = tmp / "d.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/a.png", png_bytes())
        member = zipfile.ZipInfo(name)
        if link:
            member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd" if link else png_bytes())
    return [str(path)]


def zip_with_dots(tmp: Path) -> list[str]:
    return _zip(tmp, "../../escaped.png")


def zip_with_absolute_name(tmp: Path) -> list[str]:
    return _zip(tmp, "/tmp/escaped.png")


def zip_with_backslashes(tmp: Path) -> list[str]:
    return _zip(tmp, "..\\escaped.png")


def zip_with_a_link(tmp: Path) -> list[str]:
    return _zip(tmp, "dog/a.png", link=True)


def tar_with_a_link(tmp: Path) -> list[str]:
    path = tmp / "d.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("cat/a.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    return [str(path)]


def zip_cut_off(tmp: Path) -> list[str]:
    path = tmp / "d.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/a.png", png_bytes())
    path.write_bytes(path.read_bytes()[:-30])
    return [str(path)]


def _idx(tmp: Path, images: bytes, labels: bytes) -> list[str]:
    (tmp / "d").mkdir()
    (tmp / "d" / "train-images-idx3-ubyte").write_bytes(images)
    (tmp / "d" / "train-labels-idx1-ubyte").write_bytes(labels)
    return [str(tmp / "d")]


def idx_wrong_magic(tmp: Path) -> list[str]:
    images = struct.pack(">IIII", 0x12345678, 4, 8, 8) + bytes(256)
    return _idx(tmp, images, struct.pack(">II", 0x801, 4) + bytes([0, 1, 0, 1]))


def idx_wrong_count(tmp: Path) -> list[str]:
    images = struct.pack(">IIII", 0x803, 5, 8, 8) + bytes(4 * 64)
    return _idx(tmp, images, struct.pack(">II", 0x801, 5) + bytes(5))


def idx_labels_disagree(tmp: Path) -> list[str]:
    images = struct.pack(">IIII", 0x803, 4, 8, 8) + bytes(4 * 64)
    return _idx(tmp, images, struct.pack(">II", 0x801, 3) + bytes([0, 1, 0]))


def csv_missing_files(tmp: Path) -> list[str]:
    (tmp / "d.csv").write_text("path,label\na.png,cat\nb.png,dog\n")
    return [str(tmp / "d.csv")]


def csv_without_columns(tmp: Path) -> list[str]:
    (tmp / "d.csv").write_text("file;class\na.png;cat\n")
    return [str(tmp / "d.csv")]


def csv_words_for_numbers(tmp: Path) -> list[str]:
    folder(tmp / "d")
    (tmp / "d" / "d.csv").write_text("path,label\ncat/00.png,warm\ndog/00.png,2\n")
    return [str(tmp / "d" / "d.csv"), "--task", "regression"]


def unseen_labels_in_test(tmp: Path) -> list[str]:
    folder(tmp / "d" / "train")
    folder(tmp / "d" / "test", cat=2, dog=2, horse=2)
    return [str(tmp / "d")]


def pickled_cifar(tmp: Path) -> list[str]:
    (tmp / "d" / "cifar-10-batches-py").mkdir(parents=True)
    (tmp / "d" / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x04.")
    return [str(tmp / "d")]


def npz_with_objects(tmp: Path) -> list[str]:
    np.savez(tmp / "d.npz", x_train=np.array([{}, {}], object), y_train=np.array([0, 1]))
    return [str(tmp / "d.npz")]


SOURCES: list[Callable[[Path], list[str]]] = [
    no_such_folder,
    no_images,
    empty_folder,
    one_class,
    only_broken,
    zip_with_dots,
    zip_with_absolute_name,
    zip_with_backslashes,
    zip_with_a_link,
    tar_with_a_link,
    zip_cut_off,
    idx_wrong_magic,
    idx_wrong_count,
    idx_labels_disagree,
    csv_missing_files,
    csv_without_columns,
    csv_words_for_numbers,
    unseen_labels_in_test,
    pickled_cifar,
    npz_with_objects,
]


@pytest.mark.parametrize("command", ["train", "data"])
@pytest.mark.parametrize("make", SOURCES, ids=lambda make: make.__name__)
def test_data_that_cannot_be_used(
    command: str,
    make: Callable[[Path], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    words = make(tmp_path)
    given = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    fails(capsys, [command, *words, *(QUICK if command == "train" else [])])
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == given | before
    assert not (tmp_path.parent / "escaped.png").exists()


# ---- single files that are odd or broken -------------------------------------------------------------


def huge_png() -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def rotated() -> bytes:
    image = picture(50, 5)
    exif = image.getexif()
    exif[0x0112] = 6
    return saved(image, "JPEG", exif=exif)


def animated() -> bytes:
    frames = [picture(shade, shade).convert("P") for shade in (10, 90, 150)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:])


ODD: dict[str, tuple[str, Callable[[], bytes], bool]] = {
    "truncated": ("x.jpg", lambda: saved(picture(50, 5, 64), "JPEG")[:500], False),
    "zero bytes": ("x.jpg", lambda: b"", False),
    "a text": ("x.jpg", lambda: b"this is no picture", False),
    "60,000 pixels a side": ("x.png", huge_png, False),
    "a PNG called .jpg": ("x.jpg", lambda: saved(picture(50, 5), "PNG"), True),
    "16 bit": ("x.png", lambda: saved(Image.fromarray(np.full((12, 12), 40_000, np.uint16)), "PNG"), True),
    "grey and alpha": ("x.png", lambda: saved(picture(50, 5).convert("LA"), "PNG"), True),
    "CMYK": ("x.jpg", lambda: saved(picture(50, 5).convert("CMYK"), "JPEG"), True),
    "palette": ("x.png", lambda: saved(picture(50, 5).convert("P"), "PNG"), True),
    "animated": ("x.gif", animated, True),
    "turned by EXIF": ("x.jpg", rotated, True),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_is_read_or_listed_and_never_changed(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, make, readable = ODD[kind]
    path = folder(tmp_path / "d") / "cat" / name
    path.write_bytes(make())
    assert main(["data", str(tmp_path / "d"), "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert [entry["file"] for entry in found["unreadable"]] == ([] if readable else [f"cat/{name}"])
    assert all(entry["reason"] for entry in found["unreadable"])
    assert "Traceback" not in captured.err
    assert path.read_bytes() == make()


def test_unreadable_files_are_left_out_listed_and_the_rest_is_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "d")
    for number, (name, make, _readable) in enumerate(ODD.values()):
        (root / "dog" / f"{number}{name}").write_bytes(make())
    assert main(["train", str(root), *QUICK, "--out", str(tmp_path / "run")]) == 0
    info = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    unreadable = info["check"]["unreadable"]
    assert len(unreadable) == sum(not readable for _, _, readable in ODD.values())
    assert sum(info["data"]["pictures"].values()) == 24 + len(ODD) - len(unreadable)
    assert "Traceback" not in capsys.readouterr().err


def test_a_class_with_one_picture_is_told_and_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "d", cat=12, dog=12, yak=1)
    assert main(["train", str(root), *QUICK, "--out", str(tmp_path / "run")]) == 0
    assert "yak" in capsys.readouterr().err
    with open(tmp_path / "run" / "split.csv", encoding="utf-8") as file:
        assert [line for line in file if "yak" in line] == ["yak/00.png,yak,train\n"]


def test_none_of_the_files_could_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Path
) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    assert main(["predict", str(run), str(tmp_path / "x.png")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err


# ---- flags, recipes, runs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["--epochs", "0"],
        ["--epochs", "-1"],
        ["--lr", "-1"],
        ["--lr", "nan"],
        ["--lr", "inf"],
        ["--val", "1.5"],
        ["--val", "0.9", "--test", "0.9"],
        ["--size", "1"],
        ["--minutes", "0"],
        ["--dropout", "1"],
        ["--ema", "1"],
        ["--init", "wibble"],
        ["--init", "normal:x"],
        ["--augment", "wibble"],
        ["--augment", "rotate=999"],
        ["--model", "resnet19"],
        ["--model", "nowhere.at_all:f"],
        ["--device", "tpu"],
        ["--recipe", "nowhere.toml"],
        ["--resume", "nowhere"],
        ["--group", "("],
    ],
    ids=" ".join,
)
def test_a_flag_out_of_range(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = [] if "--resume" in words else [str(folder(tmp_path / "d"))]
    said = fails(capsys, ["train", *data, *words])
    assert words[0] in said or words[1].split(":")[0] in said


@pytest.mark.parametrize("words", [["--val", "5"], ["--val", "nan"], ["--seed", "-1"]], ids=" ".join)
def test_a_flag_out_of_range_of_data(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words[0] in fails(capsys, ["data", str(folder(tmp_path / "d")), *words])


@pytest.mark.parametrize(
    ("text", "said"),
    [("epohcs = 3\n", "epochs"), ("epochs = 'three'\n", "--epochs"), ("epochs = = 3\n", "TOML")],
)
def test_a_recipe_with_a_mistake(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    assert said in fails(capsys, ["train", "--recipe", str(tmp_path / "recipe.toml")])


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


def flip_a_byte(run: Path) -> None:
    path = run / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[:8] = b"\xff" * 8
    path.write_bytes(bytes(data))


def cut_weights(run: Path) -> None:
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def drop_weights(run: Path) -> None:
    (run / "model.safetensors").unlink()


def newer_version(run: Path) -> None:
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(info | {"format": 999}), encoding="utf-8")


def cut_info(run: Path) -> None:
    text = (run / "run.json").read_text(encoding="utf-8")
    (run / "run.json").write_text(text[: len(text) // 2], encoding="utf-8")


def foreign_model(run: Path) -> None:
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    (run / "run.json").write_text(json.dumps(info | {"model": "somebody.else:net"}), encoding="utf-8")


@pytest.mark.parametrize(
    "damage",
    [flip_a_byte, cut_weights, drop_weights, newer_version, cut_info, foreign_model],
    ids=lambda damage: damage.__name__,
)
@pytest.mark.parametrize("command", ["predict", "evaluate", "stress", "explain", "scan"])
def test_a_run_that_cannot_be_opened(
    command: str, damage: Callable[[Path], None], run: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(run)
    pictures = trained.parent / "d"
    fails(capsys, [command, str(run), str(pictures / "cat" / "00.png" if command == "scan" else pictures)])


def test_no_such_run_and_no_such_picture(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "nowhere" in fails(capsys, ["predict", str(tmp_path / "nowhere"), "x.png"])
    assert "nowhere" in fails(capsys, ["predict", str(run), str(tmp_path / "nowhere.png")])


def test_evaluating_on_classes_that_the_run_does_not_know(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "yak" in fails(capsys, ["evaluate", str(run), str(folder(tmp_path / "e", cat=2, yak=2))])


def test_a_run_folder_is_never_overwritten(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (run / "model.safetensors").read_bytes()
    assert "--resume" in fails(capsys, ["train", "digits", "--out", str(run)])
    assert (run / "model.safetensors").read_bytes() == before


# ---- while training ------------------------------------------------------------------------------------

MODELS = {
    "raises": "def net(classes): raise RuntimeError('no\\nsuch\\nthing')",
    "raises_in_forward": "from torch import nn\n"
    "class net(nn.Module):\n"
    "    def __init__(self): super().__init__(); self.w = nn.Linear(1, 1)\n"
    "    def forward(self, x): raise ValueError('oh\\nno')\n",
    "wrong_shape": "from torch import nn\n"
    "def net(channels, size): return nn.Sequential(nn.Flatten(), nn.Linear(channels * size * size, 7))",
    "no_module": "def net(): return 3",
    "no_weights": "from torch import nn\n"
    "class net(nn.Module):\n"
    "    def forward(self, x): return x.flatten(1)[:, :2]\n",
    "wants_more": "def net(classes, width): return None",
    "does_not_import": "import nothing_of_that_name",
    "syntax": "def net(:",
}


@pytest.mark.parametrize("mistake", MODELS)
def test_a_model_with_a_mistake(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"model_{mistake}.py").write_text(MODELS[mistake])
    words = ["train", str(folder(tmp_path / "d")), "--model", f"model_{mistake}:net", "--epochs", "1"]
    assert "model" in fails(capsys, words)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.numpy import load_file

    data = folder(tmp_path / "d")
    words = ["train", str(data), *SETTINGS, "--epochs", "30", "--lr", "1e30", "--optimizer", "sgd"]
    said = fails(capsys, [*words, "--out", str(tmp_path / "run")])
    assert "step" in said
    weights = load_file(tmp_path / "run" / "model.safetensors")
    assert weights
    assert all(np.isfinite(tensor).all() for tensor in weights.values())


@pytest.mark.parametrize("writes", [0, 3, 8, 12])
def test_a_full_disk_loses_nothing_that_was_saved(
    writes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = folder(tmp_path / "d"), tmp_path / "run"
    left = [writes]
    fsync = os.fsync

    def full(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    words = ["train", str(data), *SETTINGS, "--epochs", "4", "--out", str(out)]
    if main([*words, "--json"]) == 0:
        assert left[0] >= 0
        return
    said = capsys.readouterr().err
    assert "disk is full" in said
    assert len(said.splitlines()) <= 2
    assert not list(tmp_path.rglob("*.tmp"))
    monkeypatch.undo()
    if (out / "run.json").exists():
        assert main(["train", "--resume", str(out)]) == 0
