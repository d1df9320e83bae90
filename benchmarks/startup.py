"""What nobody should wait for: ``striate --help`` and ``import striate``.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import striate": [sys.executable, "-c", "import striate"],
    "striate --help": [str(Path(sys.executable).with_name("striate")), "--help"],
    "striate train --help": [str(Path(sys.executable).with_name("striate")), "train", "--help"],
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(11):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - began)
    for name, values in times.items():
        print(f"{name:22} median {statistics.median(values[1:]):.3f} s, least {min(values[1:]):.3f} s")


if __name__ == "__main__":
    main()
