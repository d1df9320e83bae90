"""A word anywhere in a recording: a network slid along it against an MLP trained on words at a fixed place.

    python benchmarks/words.py --folder /tmp/words                  windows, four networks, measurement
    python benchmarks/words.py --folder /tmp/words --minutes 5      the same networks, less sound

Spoken digits (8 kHz); the word is "seven". Networks learn from recordings n >= 5 alone, and are measured on
n < 5 of the same speakers. Training windows last 1 s and are of three classes: the word, other speech
(other digits, recordings played backwards, less than half of the word), and nothing (silence, noise). In one
set the word begins where the window does, in the other it lies anywhere in it, other sounds before and
behind. Both sets are made of the same recordings, with noise from none to as loud as speech.
Measured in recordings of 10 s: other digits and recordings played backwards, strung together with gaps, the
word once among them; and in as much sound without the word, from which comes the threshold for one false
alarm a minute. Noise: none, white, or babble (eight such recordings added), a ratio in dB to speech.
The MLP is slid as the other is; also asked once a second, as one that is not slid; and, last, asked with
the word at its place.
Found: a detection within half a second of the word's middle. Position error: of those found, in ms.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.io import wavfile
from torch import nn

import striate
from striate.api.hear import normalised
from striate.ops.spectrum import LogMel
from striate.runs.load import preprocess_of
from striate.scan.alarm import Peaks, log_odds, threshold_for
from striate.scan.listener import apart
from striate.scan.stream import Ear, Hearing, hearing

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARED = Path(os.environ.get("STRIATE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
RATE, WINDOW, LONG = 8000, 8000, 80_000
WORD = "7"
LEVEL = 1000.0  # deviation of speech, in 16-bit steps
WINDOWS = {
    "train": {"word": 2000, "other": 3000, "nothing": 600},
    "val": {"word": 200, "other": 300, "nothing": 60},
}
NOISES = [("none", None), *((kind, ratio) for ratio in (10, 0, 20) for kind in ("white", "babble"))]
FAR = 0.5  # s between a detection and the word's middle that is still the word

Clip = tuple[str, "NDArray[np.float32]"]


def mlp_on_frames(classes: int, length: int) -> nn.Module:
    """Build an MLP that sees a whole window's log-mel frames at once, two hidden layers of 256."""
    mel = LogMel(RATE, 32)
    return nn.Sequential(
        mel, nn.BatchNorm1d(32), nn.Flatten(), nn.Linear(32 * mel.frames(length), 256), nn.ReLU(),
        nn.Dropout(0.3), nn.Linear(256, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, classes),
    )  # fmt: skip


class Sounds:
    """Recordings of one part, and what is made of them."""

    def __init__(self, clips: list[Clip], seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.words = [sound for digit, sound in clips if digit == WORD]
        self.others = [sound for digit, sound in clips if digit != WORD]
        self.backwards = [sound[::-1] for _, sound in clips]

    def pick(self, sounds: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Take a recording, up to 6 dB louder or softer."""
        gain = 10 ** (self.random.uniform(-6, 6) / 20)
        return np.asarray(gain * sounds[self.random.integers(len(sounds))], np.float32)

    def speech(self, samples: int) -> NDArray[np.float32]:
        """String together other digits, a third of them backwards, with gaps up to 0.4 s."""
        parts: list[NDArray[np.float32]] = []
        while sum(map(len, parts)) < 2 * samples:
            parts.append(self.pick(self.backwards if self.random.random() < 1 / 3 else self.others))
            parts.append(np.zeros(self.random.integers(0, 3200), np.float32))
        joined = np.concatenate(parts)
        start = self.random.integers(len(joined) - samples)
        return joined[start : start + samples]

    def with_word(self, samples: int, start: int | None = None) -> tuple[NDArray[np.float32], float]:
        """Put the word into speech, anywhere or at a place, and up to 0.1 s of silence on each side of it.

        Returns: the sound, and the place of the word's middle, in samples.
        """
        word = self.pick(self.words)
        if start is None:
            start = int(self.random.integers(0, max(1, samples - len(word))))
        before, behind = self.random.integers(0, 800, 2)
        around = [self.speech(samples), self.speech(samples)]
        head = around[0][: max(0, start - before)]
        sound = np.zeros(samples + 2 * WINDOW, np.float32)
        sound[: len(head)] = head
        sound[start : start + len(word)] = word
        tail = start + len(word) + behind
        if tail < samples:
            sound[tail:samples] = around[1][: samples - tail]
        return sound[:samples], start + len(word) / 2

    def partly(self) -> NDArray[np.float32]:
        """Cut a window in which less than half of the word is left, at its start or end."""
        sound, middle = self.with_word(3 * WINDOW, start=WINDOW)
        half = middle - WINDOW
        cut = WINDOW + half if self.random.random() < 0.5 else middle - WINDOW - half / 4
        return sound[int(cut + self.random.uniform(0, half / 4)) :][:WINDOW]

    def noise(self, kind: str, samples: int) -> NDArray[np.float32]:
        """Make noise as loud as speech."""
        if kind == "white":
            return self.random.normal(0, LEVEL, samples).astype(np.float32)
        babble = np.sum([self.speech(samples) for _ in range(8)], axis=0)
        return np.asarray(babble * (LEVEL / babble.std()), np.float32)

    def noisy(self, sound: NDArray[np.float32], kind: str, ratio: float | None) -> NDArray[np.int16]:
        """Add noise at a ratio in dB, and give 16 bits; digital silence becomes a faint hiss."""
        sound = sound + self.random.normal(0, 3, len(sound)).astype(np.float32)
        if ratio is not None:
            sound = sound + np.float32(10 ** (-ratio / 20)) * self.noise(kind, len(sound))
        return np.rint(sound).clip(-32768, 32767).astype(np.int16)

    def any_noise(self, sound: NDArray[np.float32]) -> NDArray[np.int16]:
        """Add noise as training hears it: none in a quarter, else white or babble at 0 to 25 dB."""
        kind = str(self.random.choice(["white", "babble"]))
        return self.noisy(sound, kind, None if self.random.random() < 0.25 else self.random.uniform(0, 25))

    def window(self, name: str, anywhere: bool) -> NDArray[np.int16]:
        """Make one training window of a class."""
        if name == "word":
            return self.any_noise(self.with_word(WINDOW, None if anywhere else 0)[0])
        if name == "other":
            return self.any_noise(self.partly() if self.random.random() < 0.2 else self.speech(WINDOW))
        return self.any_noise(np.zeros(WINDOW, np.float32))


def recordings() -> dict[str, list[Clip]]:
    """Read the digits, each made as loud as the others: train (n >= 10), val (5..9) and test (n < 5)."""
    parts: dict[str, list[Clip]] = {"train": [], "val": [], "test": []}
    with zipfile.ZipFile(SHARED / "spoken-digits.zip") as archive:
        for name in sorted(archive.namelist()):
            if (found := re.search(r"(\d)_(\w+)_(\d+)\.wav$", name)) is None:
                continue
            _, sound = wavfile.read(io.BytesIO(archive.read(name)))
            sound = sound[: WINDOW - 400].astype(np.float32)
            n = int(found[3])
            part = "test" if n < 5 else "val" if n < 10 else "train"
            parts[part].append((found[1], sound * np.float32(LEVEL / max(1.0, sound.std()))))
    return parts


def make_windows(folder: Path, clips: dict[str, list[Clip]], anywhere: bool) -> None:
    """Write the training windows as WAV files, train/word/0001.wav and so on."""
    for part, counts in WINDOWS.items():
        sounds = Sounds(clips[part], seed=1)
        for name, count in counts.items():
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                wavfile.write(folder / part / name / f"{i:04}.wav", RATE, sounds.window(name, anywhere))


@dataclass(frozen=True)
class Peaked:
    """Peaks of the word in a recording: middle of the window, seconds, and log-odds."""

    times: list[float]
    odds: list[float]


def peaks(run: Any, way: Hearing, sound: NDArray[np.int16], preprocess: Any, middle: float) -> Peaked:
    """Scan a recording as ``striate scan`` does, and keep every peak.

    middle: of the word, in samples from the start of its window.
    """
    x, unit = normalised(sound, preprocess), run.classes.index("word")
    answers = Ear(way).hear(x)
    assert answers is not None
    found = Peaks(apart(way)).feed(log_odds(answers)[unit : unit + 1], last=True)
    return Peaked([(peak.middle * way.hop + middle) / RATE for peak in found], [peak.odds for peak in found])


@dataclass(frozen=True)
class Heard:
    """Sound of one noise: recordings with the word and its middle in samples, and as many without it."""

    with_word: list[tuple[NDArray[np.int16], float]]
    without: list[NDArray[np.int16]]


def made(clips: list[Clip], kind: str, ratio: float | None, count: int) -> Heard:
    """Make ``count`` recordings of 10 s with the word, and as many without."""
    sounds = Sounds(clips, seed=2)
    without = [sounds.noisy(sounds.speech(LONG), kind, ratio) for _ in range(count)]
    words = [sounds.with_word(LONG) for _ in range(count)]
    return Heard([(sounds.noisy(sound, kind, ratio), middle) for sound, middle in words], without)


def measured(run: Any, heard: Heard, place: float, hop: int | None = None) -> str:
    """Give the share of words found at one false alarm a minute, and how far off they are.

    place: of the word's middle in its window, samples: a network that knows one place is told it.
    hop: samples between windows, by default the network's own.
    """
    preprocess: Any = preprocess_of(run)
    way = hearing(run.model, (1, preprocess.length), hop=hop)
    empty = [odds for sound in heard.without for odds in peaks(run, way, sound, preprocess, place).odds]
    least = threshold_for(empty, len(heard.without) * LONG / RATE / 60, rate=1.0).odds
    errors = []
    for sound, middle in heard.with_word:
        found = peaks(run, way, sound, preprocess, place)
        near = [
            (odds, abs(time - middle / RATE))
            for time, odds in zip(found.times, found.odds, strict=True)
            if odds >= least and abs(time - middle / RATE) <= FAR
        ]
        if near:
            errors.append(1000 * max(near)[1])
    share = len(errors) / len(heard.with_word)
    off = f"{statistics.median(errors):4.0f} ({np.percentile(errors, 90):4.0f})" if errors else "   -"
    return f"{share:6.1%}  {off:>11}"


def at_its_place(run: Any, clips: list[Clip], kind: str, ratio: float | None, count: int) -> str:
    """Give the share of windows that begin with the word which are called it, and of others that are."""
    sounds = Sounds(clips, seed=3)
    with_word = [sounds.noisy(sounds.with_word(WINDOW, 0)[0], kind, ratio) for _ in range(count)]
    without = [sounds.noisy(sounds.speech(WINDOW), kind, ratio) for _ in range(count)]
    called = []
    for some in (with_word, without):
        x = torch.stack([normalised(sound, preprocess_of(run)) for sound in some])  # type: ignore[arg-type]
        with torch.inference_mode():
            unit = run.classes.index("word")
            called.append(float((run.model(x).argmax(1) == unit).float().mean()))
    return f"{called[0]:6.1%} / {called[1]:5.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="for windows and runs; kept between calls")
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="of sound with the word, and as much without"
    )
    parser.add_argument("--epochs", type=int, default=12)
    asked = parser.parse_args()
    clips = recordings()
    runs: dict[str, Any] = {}
    for place in ("anywhere", "fixed"):
        data = asked.folder / place
        if not data.exists():
            make_windows(data, clips, anywhere=place == "anywhere")
        for model in ("tdnn", "mlp"):
            out = asked.folder / f"{model}-{place}"
            built = {"tdnn": "tdnn", "mlp": mlp_on_frames}[model]
            if out.exists():
                runs[f"{model} {place}"] = striate.load(out, model=None if model == "tdnn" else built)
            else:
                runs[f"{model} {place}"] = striate.train(
                    str(data), model=built, epochs=asked.epochs, out=out, test=0.0, length=1.0
                )
    half = statistics.mean(len(sound) / 2 for digit, sound in clips["train"] if digit == WORD)
    places = {"anywhere": WINDOW / 2, "fixed": half}
    count = max(1, round(asked.minutes * 6))
    print(f"{count} recordings of 10 s with the word and {count} without; found at 1 false alarm a minute,")
    print("median (90th percentile) position error in ms; at its place: called the word / false, of windows")
    print(
        f"{'noise':12}"
        + "".join(f"{name:^22}" for name in [*runs, "mlp fixed, 1 a s"])
        + "  mlp fixed at its place"
    )
    for kind, ratio in NOISES:
        heard = made(clips["test"], kind, ratio, count)
        row = "".join(f"{measured(run, heard, places[name.split()[1]]):^22}" for name, run in runs.items())
        row += f"{measured(runs['mlp fixed'], heard, half, WINDOW):^22}"
        known = at_its_place(runs["mlp fixed"], clips["test"], kind, ratio, 4 * count)
        print(f"{kind + ('' if ratio is None else f' {ratio} dB'):12}{row}  {known}", flush=True)


if __name__ == "__main__":
    main()
