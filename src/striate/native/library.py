"""Compile the C files beside this one for this processor, once, and load them.

They lie in the cache under a name that follows from the sources, the compiler and the processor, so that
nothing stale is ever loaded. A machine without a compiler trains with torch's kernels.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from striate.files import cache_folder

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.[ch]")))
# No -ffast-math: a library linked with it makes the whole process round denormal numbers to zero.
FLAGS = ("-O3", "-march=native", "-fopenmp", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared")


class Unavailable(Exception):  # noqa: N818 - names what happened
    """There are no kernels of our own on this machine; the text says why."""


@functools.cache
def load() -> ctypes.CDLL:
    """Give the compiled kernels, compiling them (a few seconds) where that has not been done.

    Raises Unavailable without a compiler, or where it fails. The result is remembered.
    """
    path = _path(_compiler())
    if not os.path.exists(path):  # noqa: PTH110 - it raises nothing where the folder may not be read
        _compile(_compiler(), path)
    before = _openmp_runtimes()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise Unavailable(f"the compiled kernels cannot be loaded: {error}") from error
    if _openmp_runtimes() > before > 0:  # two pools of threads on the same cores wait for one another
        raise Unavailable("torch brings a runtime for threads that differs from the compiler's")
    library.winograd_weights_size.restype = ctypes.c_long
    return library


@functools.cache
def unavailable() -> str:
    """Say why there are no kernels of our own here; empty where there are."""
    try:
        load()
    except Unavailable as error:
        return str(error)
    return ""


def address(x: torch.Tensor | None) -> ctypes.c_void_p | None:
    """Point at a tensor's numbers, which must stay alive during the call; None is no tensor."""
    return None if x is None else ctypes.c_void_p(x.data_ptr())


def identity() -> str:
    """Name what measurements of the kernels hold for: sources, compiler, processor, and torch."""
    try:
        return _path(_compiler()).stem.removeprefix("kernels-")
    except Unavailable:
        return f"none-{hashlib.sha256((torch.__version__ + _processor()).encode()).hexdigest()[:16]}"


def _compiler() -> list[str]:
    if sys.platform != "linux":
        raise Unavailable(f"they are built on Linux only, this is {platform.system()}")
    asked = os.environ.get("CC")
    if asked:
        return shlex.split(asked)
    found = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if found is None:
        raise Unavailable("there is no C compiler (on Debian and Ubuntu: apt-get install gcc)")
    return [found]


def _path(compiler: list[str]) -> Path:
    known = hashlib.sha256()
    for source in SOURCES:
        known.update(source.read_bytes())
    known.update(" ".join([*compiler, *FLAGS, torch.__version__, _processor()]).encode())
    return cache_folder() / "native" / f"kernels-{known.hexdigest()[:16]}.so"


def _processor() -> str:
    """Name the processor by what decides the code: a cache may be shared by machines that differ."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _compile(compiler: list[str], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / path.name
            sources = [str(source) for source in SOURCES if source.suffix == ".c"]
            command = [*compiler, *FLAGS, *sources, "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
            if done.returncode:
                told = " ".join(done.stderr.split())[:160]
                raise Unavailable(f"{compiler[0]} could not compile them: {told}")
            made.replace(path)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"they could not be compiled: {error}") from error


def _openmp_runtimes() -> int:
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 1
    mapped = {line.split()[-1] for line in maps if "/" in line}
    return sum(Path(name).name.startswith(("libgomp", "libomp", "libiomp")) for name in mapped)
