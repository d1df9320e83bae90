"""Names taken apart by a pattern: what each field holds, which names make the test, clear refusals."""

from __future__ import annotations

import io
import wave
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.data.pattern import described, is_rule, pattern
from striate.data.sources import Sample, open_source
from striate.errors import DataError, RecipeError, StriateError

if TYPE_CHECKING:
    from pathlib import Path

USUAL = "{label}_{group}_{n}.wav"
WORD = st.text("abcXYZ019-.", min_size=1, max_size=6)


@given(WORD, WORD, st.integers(0, 999))
def test_a_name_is_taken_apart_as_it_was_put_together(label: str, group: str, n: int) -> None:
    fields = {"label": label, "group": group, "n": str(n)}
    name = USUAL.format(**fields)
    assert pattern(USUAL).fields(name) == fields
    assert pattern(USUAL).fields(f"some/where/{name}") == fields
    assert pattern("{label}_{group}_{n}").fields(name) == fields


@pytest.mark.parametrize(
    ("text", "name", "fields"),
    [
        ("{speaker}/{label}.flac", "all/anna/yes.flac", {"speaker": "anna", "label": "yes"}),
        ("words-{label}.{n}", "words-on.12.wav", {"label": "on", "n": "12"}),
        ("{label}", "cat.jpg", {"label": "cat"}),
        ("{label}_x.wav", "a+b(c)_x.wav", {"label": "a+b(c)"}),
        (USUAL, "3_anna.wav", None),
        (USUAL, "3_anna_b_12.wav", None),
        (USUAL, "3_anna_12.WAV", None),
        ("{label}/{n}.wav", "1.wav", None),
    ],
)
def test_what_matches(text: str, name: str, fields: dict[str, str] | None) -> None:
    assert pattern(text).fields(name) == fields


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label_n.wav", "it needs fields in braces"),
        ("{label}_{}.wav", "it needs fields in braces"),
        ("{label_{n}.wav", "it needs fields in braces"),
        ("{label}_{1}.wav", "it needs fields in braces"),
        ("{label}_{label}.wav", "it names {label} twice"),
        ("{label}{n}.wav", "nothing parts {label} from the field behind it"),
    ],
)
def test_patterns_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as error:
        pattern(text)
    assert message in error.value.message
    assert repr(text) in error.value.message


def test_a_pattern_has_to_match_every_name() -> None:
    with pytest.raises(DataError, match=r"matches no file, the first is 'a/b\.wav'"):
        described(["a/b.wav", "c.wav"], USUAL)
    with pytest.raises(DataError, match=r"matches not 1 of 2 files, the first is 'c\.wav'"):
        described(["1_a_2.wav", "c.wav"], USUAL)


@pytest.mark.parametrize("text", ["n<5", "n >= 10", "speaker==anna", "n!=3", "a_b<=-1.5"])
def test_rules(text: str) -> None:
    assert is_rule(text)


@pytest.mark.parametrize("text", ["0.2", "", "n", "n=5", "<5", "5<n", "n<"])
def test_no_rules(text: str) -> None:
    assert not is_rule(text)


# ---- a data set -------------------------------------------------------------------------------------


def second(shade: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 1, 8000, 0, "NONE", ""))
        writer.writeframes(bytes([shade]) * 20)
    return file.getvalue()


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for label in "01":
            for speaker in ("anna", "ben"):
                for n in range(12):
                    archive.writestr(f"recordings/{label}_{speaker}_{n}.wav", second(100 + n))
        archive.writestr("recordings/README.txt", "about")
    return path


def opened(path: Path, text: str | None = USUAL, **how: Any) -> tuple[Sample, ...]:
    return open_source(str(path), label_pattern=text, **how).samples


def test_labels_groups_and_the_test_part_come_from_names(words: Path) -> None:
    source = open_source(str(words), label_pattern=USUAL, group="group", test_rule="n<5")
    assert (source.modality, source.classes) == ("sound", ("0", "1"))
    assert Counter(sample.split for sample in source.samples) == {None: 28, "test": 20}
    assert Sample("recordings/1_ben_4.wav", "1", "test", "ben") in source.samples
    assert Sample("recordings/1_ben_10.wav", "1", None, "ben") in source.samples


@pytest.mark.parametrize(
    ("rule", "count"),
    [("n<=5", 24), ("n>9", 8), ("n>=9.5", 8), ("n==3", 4), ("n!=3.0", 44), ("group==ben", 24)],
)  # fmt: skip
def test_what_a_rule_chooses(words: Path, rule: str, count: int) -> None:
    assert sum(sample.split == "test" for sample in opened(words, test_rule=rule)) == count


def test_the_label_may_be_a_number_or_not_be_needed(words: Path) -> None:
    assert {s.target for s in opened(words, "{x}_{y}_{label}.wav", task="regression")} == set(range(12))
    assert {s.target for s in opened(words, "{x}_{y}_{n}.wav", task="reconstruction")} == {0.0}
    assert {s.target for s in opened(words, None, task="reconstruction")} == {0.0}


def test_split_folders_are_kept(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for label in "ab":
            (tmp_path / split / f"{label}_1.png").write_bytes(b"")
    found = {(sample.target, sample.split) for sample in opened(tmp_path, "{label}_{n}.png")}
    assert found == {(label, split) for label in "ab" for split in ("train", "test")}


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("{group}_{a}_{n}.wav", {}, "it needs {label}"),
        (USUAL, {"group": "speaker"}, "--group: the pattern has no field 'speaker'"),
        (USUAL, {"test_rule": "m<5"}, "--test: the pattern has no field 'm'"),
        (USUAL, {"test_rule": "group<5"}, "--test 'group<5': group is no number but 'anna'"),
        (USUAL, {"test_rule": "group<ben"}, "< compares numbers"),
        (USUAL, {"test_rule": "five"}, "neither a share nor a rule"),
        (USUAL, {"task": "regression", "text": "{x}_{label}_{n}.wav"}, "a label must be a finite number"),
        (None, {"test_rule": "n<5"}, "no --label-pattern says how to read them"),
    ],
)
def test_what_does_not_fit_is_said_in_two_lines(
    words: Path, text: str | None, how: dict[str, str], message: str
) -> None:
    how = dict(how)
    with pytest.raises(StriateError) as error:
        opened(words, how.pop("text", text), **how)
    assert message in error.value.message
    assert len(str(error.value).splitlines()) == 2


def test_a_pattern_needs_files_with_names(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("anna\n")
    with pytest.raises(DataError, match=r"takes apart the names of files, and a\.txt is one file"):
        opened(tmp_path / "a.txt")
    with pytest.raises(DataError, match="holds no pictures, sounds or sequences"):
        opened(tmp_path)


def test_a_rule_that_holds_for_no_name_is_refused(words: Path) -> None:
    with pytest.raises(DataError, match="--test 'n<0' holds for none of the 48 names"):
        opened(words, test_rule="n<0")
