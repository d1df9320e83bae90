"""The machine a training runs on: what it is called, and how many of its cores this process may use."""

from __future__ import annotations

import functools
import math
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

CGROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self/cgroup")
PROCESSOR = Path("/proc/cpuinfo")


def cores() -> int:
    """Count the cores this process may use: its affinity, cut by the processor quota of its control group.

    A container with two cores' worth of a large machine sees all of it; as many threads would only wait.

    >>> cores() >= 1
    True
    """
    allowed = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):  # Linux
        allowed = len(os.sched_getaffinity(0))
    return max(1, math.floor(min(allowed, quota()) + 0.5))


def quota() -> float:
    """Give the processors that the control groups around this process grant it; infinite without a limit.

    Source: kernel.org, Control Group v2 (``cpu.max``), CFS bandwidth control (``cpu.cfs_quota_us``).
    """
    granted = math.inf
    for line in _text(PROCESS).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = CGROUPS / controllers  # of the second version, "" and the root itself
        if not root.exists():
            root = CGROUPS / "cpu"
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):  # the narrowest limit counts
            granted = min(granted, _limit(folder))
            if folder == CGROUPS:
                break
    return granted


def _limit(folder: Path) -> float:
    both = _text(folder / "cpu.max")
    if not both:  # the first version has a file for each
        both = f"{_text(folder / 'cpu.cfs_quota_us')} {_text(folder / 'cpu.cfs_period_us')}"
    try:
        given, period = map(int, both.split())
        return given / period if given > 0 else math.inf  # -1 is no limit
    except (ValueError, ZeroDivisionError):  # no such file, or "max"
        return math.inf


@functools.cache
def describe() -> dict[str, Any]:
    """Say which machine this is: processor, instructions, cores, memory (GB), accelerator, torch's version.

    What was measured on one machine holds on those with an equal description.
    """
    import torch

    instructions = torch.backends.cpu.get_cpu_capability()
    if torch.cpu.get_capabilities().get("amx_bf16", False):
        instructions += " AMX"
    found: dict[str, Any] = {
        "processor": _processor(),
        "instructions": instructions,
        "cores": cores(),
        "memory": _memory(),
        "torch": torch.__version__,
    }
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    named = [line for line in _text(PROCESSOR).splitlines() if line.startswith("model name")]
    if named:
        return " ".join(named[0].partition(":")[2].split())
    if platform.system() == "Darwin":
        asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - a constant
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    """Give the installed memory in GB, where the system says."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9)
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
