"""The machine a training runs on: its name, the cores this process may use, its rates at most."""

from __future__ import annotations

import functools
import math
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

CGROUPS = Path("/sys/fs/cgroup")
PROCESS = Path("/proc/self/cgroup")
PROCESSOR = Path("/proc/cpuinfo")
COPIED = 1 << 28  # bytes of a buffer to copy: no processor's cache holds it


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


@dataclass(frozen=True)
class Limits:
    """What a machine can do at most, measured: the roofline that a layer stands under.

    float32, bfloat16: FLOP/s of a large matrix product, two to a multiply-add.   bandwidth: bytes/s of a
    copy, read and written ones together.
    Source: Williams, Waterman and Patterson 2009, Roofline.
    """

    name: str
    cores: int
    float32: float
    bfloat16: float
    bandwidth: float

    def least(self, operations: float, moved: float, dtype: str) -> float:
        """Give the seconds below which so many FLOP and so many bytes cannot be done here.

        >>> Limits("", 1, float32=100.0, bfloat16=200.0, bandwidth=10.0).least(50, 20, "float32")
        2.0
        """
        return max(
            operations / (self.bfloat16 if dtype == "bfloat16" else self.float32), moved / self.bandwidth
        )


def limits(seconds: float = 2.0, device: str | torch.device = "cpu") -> Limits:
    """Measure the limits with torch, on as many threads as it is set to, in about so many seconds."""
    import torch

    device = torch.device(device)
    told = describe()
    return Limits(
        name=told["accelerator"] if device.type == "cuda" else told["processor"],
        cores=told["cores"],
        float32=_product_rate(torch.float32, device, seconds / 3),
        bfloat16=_product_rate(torch.bfloat16, device, seconds / 3),
        bandwidth=_copy_rate(device, seconds / 3),
    )


def _product_rate(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """Multiply square matrices of growing size, then the best size again: the best rate of all products."""
    import torch

    def product(size: int) -> Callable[[], Tensor]:
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        return functools.partial(torch.mm, a, b, out=torch.empty_like(a))

    size, rates, end = 256, dict[int, float](), time.perf_counter() + seconds
    while True:
        fastest = _fastest(product(size), device, times=3)
        rates[size] = 2 * size**3 / fastest
        if time.perf_counter() + 3 * 8 * fastest > end - seconds / 2:  # three products of twice the size
            break
        size *= 2
    best = max(rates, key=rates.__getitem__)
    again = product(best)
    while time.perf_counter() < end:  # a moment at which others wanted the machine does not count
        rates[best] = max(rates[best], 2 * best**3 / _fastest(again, device))
    return rates[best]


def _copy_rate(device: torch.device, seconds: float) -> float:
    import torch

    from striate.data.cache import free_memory

    size = COPIED if device.type != "cpu" else min(COPIED, free_memory() // 8)
    source, target = (torch.ones(size, dtype=torch.uint8, device=device) for _ in range(2))
    fastest, end = float("inf"), time.perf_counter() + seconds
    while True:
        fastest = min(fastest, _fastest(lambda: target.copy_(source), device))
        if time.perf_counter() + fastest > end:
            return 2 * size / fastest


def _fastest(do: Callable[[], object], device: torch.device, times: int = 1) -> float:
    """Give the seconds of the fastest of so many calls."""
    import torch

    taken = []
    for _ in range(times):
        started = time.perf_counter()
        do()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - started)
    return min(taken)
