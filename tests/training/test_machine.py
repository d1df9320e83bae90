"""Cores are those that the process may use, whatever the machine has."""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path

import pytest

from striate.training import machine


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A control-group tree of the test's own."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "PROCESS", tmp_path / "self")
    (tmp_path / "cgroup").mkdir()
    return tmp_path


def tell(root: Path, self: str, files: dict[str, str]) -> None:
    (root / "self").write_text(self)
    for name, text in files.items():
        path = root / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, math.inf),
        ({"cpu.max": "150000 100000\n"}, 1.5),  # inside a container its own group is the root
        ({"a/b/cpu.max": "max 100000\n"}, math.inf),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "300000 100000\n"}, 3.0),
        ({"a/b/cpu.max": "50000 100000\n", "a/cpu.max": "300000 100000\n"}, 0.5),
        ({"a/b/cpu.max": "nonsense"}, math.inf),
    ],
)
def test_the_narrowest_limit_of_the_groups_above_counts(
    groups: Path, files: dict[str, str], expected: float
) -> None:
    tell(groups, "0::/a/b\n", files)
    assert machine.quota() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", math.inf), ("250000\n", 2.5)])
@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
def test_the_first_version_of_control_groups(
    groups: Path, quota: str, expected: float, controllers: str
) -> None:
    files = {f"{controllers}/job/cpu.cfs_quota_us": quota, f"{controllers}/job/cpu.cfs_period_us": "100000\n"}
    tell(groups, f"3:cpuset:/other\n2:{controllers}:/job\n", files)
    assert machine.quota() == expected


def test_a_system_without_control_groups_has_no_limit(groups: Path) -> None:
    assert machine.quota() == math.inf


@pytest.mark.parametrize(("quota", "expected"), [(math.inf, 4), (2.0, 2), (2.6, 3), (0.2, 1), (9.0, 4)])
def test_cores_are_affinity_cut_by_quota(
    quota: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5, 7}, raising=False)
    assert machine.cores() == expected


def test_the_description_is_plain_and_names_the_processor() -> None:
    told = machine.describe()
    assert json.loads(json.dumps(told)) == told
    assert told["processor"]
    assert told["cores"] == machine.cores()


def test_the_limits_are_those_of_products_and_copies_done_here() -> None:
    import torch

    found = machine.limits(0.1)
    assert (found.name, found.cores) == (machine.describe()["processor"], machine.cores())
    a = torch.randn(256, 256)
    began = time.perf_counter()
    for _ in range(20):
        a @ a
    rate = 20 * 2 * 256**3 / (time.perf_counter() - began)
    # A limit in other units, or of another number of operations a multiply-add, would be far off.
    assert 0.01 < rate / found.float32 < 10
    assert 1e8 < found.bandwidth < 1e13
    assert found.least(found.bfloat16, 0, "bfloat16") == pytest.approx(1.0)
    assert found.least(0, 3 * found.bandwidth, "float32") == pytest.approx(3.0)
