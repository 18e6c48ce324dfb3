"""Synthetic runs for the tests: the files that ``harness bench`` would write."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.records.old_runs import BootRecord, Crash, Run, RunWriter, Sample

UNPATCHED = ("before", "reclaim-off")
CPU = "Intel(R) Xeon(R) Processor"
OOPS = "BUG: kernel NULL pointer dereference, address: 0000000000000008\nRIP: 0010:pte_put+0x1a\n"
RATES = {1: 3_400_000.0, 8: 5_100_000.0, 16: 4_900_000.0}


def plan(variants: list[str], boots: int, repeat: int, order: list[str]) -> dict[str, Any]:
    """A plan as bench records it."""
    return {
        "profile": "quick", "variants": variants, "boots": boots, "order": order,
        "smp": 4, "memory": "4G",
        "workloads": [
            {"name": "vmpte", "params": {"size_gib": 50, "touch": "page"}, "repeat": 1},
            {
                "name": "multi-fault",
                "params": {"threads": [1, 8, 16], "seconds": 5, "mode": "letter", "smp": 4},
                "repeat": repeat,
            },
        ],
    }  # fmt: skip


def variant_meta(name: str, base: str = "debian-6.1", key: str | None = None) -> dict[str, Any]:
    """Build metadata of a variant."""
    patched = not name.startswith(UNPATCHED)
    return {
        "base": base, "release": f"6.1.187-{name}", "key": key or f"key-{name}",
        "config_digest": "c0ffee" * 4, "compiler": "gcc (Debian 12.2.0-14+deb12u1) 12.2.0",
        "patches": [{"name": "0001-mm-pte_refcount.patch", "sha256": "ab" * 32}] if patched else [],
    }  # fmt: skip


class MakeRun:
    """Writes one run; tests change its attributes before :meth:`write`."""

    def __init__(self, directory: Path, name: str = "20261123-010203", **options: Any) -> None:
        self.directory = directory
        self.name = name
        self.variants: list[str] = options.get("variants", ["before", "after"])
        self.boots: int = options.get("boots", 2)
        self.repeat: int = options.get("repeat", 2)
        self.accel: str = options.get("accel", "tcg")
        self.base: str = options.get("base", "debian-6.1")
        self.noise: float = options.get("noise", 0.01)
        self.effect: float = options.get("effect", -0.01)
        self.cpu: str = options.get("cpu", CPU)
        self.seeds: bool = options.get("seeds", False)
        self.status: dict[int, str] = options.get("status", {})
        self.skip: Callable[[int, Sample], bool] = options.get("skip", lambda boot, sample: False)
        self.random = random.Random(options.get("seed", 1))
        self.keys: dict[str, str] = options.get("keys", {})
        self.series: bool = options.get("series", True)

    def order(self) -> list[str]:
        """A, B, B, A, ..."""
        found: list[str] = []
        for pair in range(self.boots):
            found += self.variants if pair % 2 == 0 else self.variants[::-1]
        return found

    def write(self) -> Path:
        """Write the files; returns the directory."""
        order = self.order()
        run = Run(
            run=self.name, status="complete", started="2026-11-23T01:02:03Z",
            finished="2026-11-23T01:12:03Z",
            harness={"version": "0.1.0", "revision": "550c5078a0", "dirty": False},
            plan=plan(self.variants, self.boots, self.repeat, order),
            variants={v: variant_meta(v, self.base, self.keys.get(v)) for v in self.variants},
            accel={"name": self.accel, "reason": "KVM did not boot a guest: MSR 0x10a"},
            qemu={"version": "10.0.2"},
            host={"cpu": self.cpu, "cores": 2, "memory_kb": 24 << 20, "kernel": "6.1.0-35-amd64"},
        )  # fmt: skip
        writer = RunWriter(self.directory, run)
        for boot, variant in enumerate(order):
            samples = [s for s in self.samples(boot, variant) if not self.skip(boot, s)]
            writer.samples(samples)
            status = self.status.get(boot, "ok")
            if status != "missing":
                writer.boot(self.record(boot, variant, status))
        return self.directory

    def record(self, boot: int, variant: str, status: str) -> BootRecord:
        """The record of a boot that ended as told."""
        crash = None
        if status == "crashed":
            params = {"threads": 8, "seconds": 5}
            crash = Crash(kind="oops", text=OOPS, workload="multi-fault", params=params)
        return BootRecord(
            boot=boot, variant=variant, status=status, started=f"2026-11-23T01:0{boot % 10}:00Z",
            seconds_to_ready=5.25, qemu_argv=["qemu-system-x86_64", "-smp", "4"],
            guest={
                "uname": f"Linux guest 6.1.187-{variant} #1 SMP x86_64",
                "cmdline": "console=ttyS0 panic=-1", "thp": "always madvise [never]", "cpus": 4,
            },
            host_load=[1.5, 1.2, 0.9], crash=crash, console=f"boots/{boot:03}/console.log",
            seed=boot // len(self.variants) if self.seeds else None,
        )  # fmt: skip

    def samples(self, boot: int, variant: str) -> list[Sample]:
        """All samples of a boot: the vmpte cell, then three multi-fault cells."""
        patched = not variant.startswith(UNPATCHED)
        return [*self._vmpte(boot, variant, patched), *self._faults(boot, variant, patched)]

    def _sample(self, boot: int, variant: str, **fields: Any) -> Sample:
        return Sample(run=self.name, variant=variant, boot=boot, accel=self.accel, **fields)

    def _vmpte(self, boot: int, variant: str, patched: bool) -> list[Sample]:
        cell: dict[str, Any] = {
            "workload": "vmpte", "params": {"size_gib": 50, "touch": "page"}, "repeat": 0,
        }  # fmt: skip
        found = []
        points = 40 if self.series else 0
        for step in range(points):
            kb = 248 if patched else 40 + 102_400 * (step + 1) // points
            found.append(self._sample(boot, variant, **cell, metric="VmPTE", value=kb, unit="kB",
                                      t=0.05 * step + self.random.random() * 0.01))  # fmt: skip
        for metric, value in {
            "VmPTE": 248 if patched else 102_440, "VmSize": 52_429_824,
            "VmRSS": (3_300 if patched else 3_100) + self.random.randrange(60),
        }.items():  # fmt: skip
            found.append(self._sample(boot, variant, **cell, metric=metric, value=value, unit="kB"))
        return found

    def _faults(self, boot: int, variant: str, patched: bool) -> list[Sample]:
        found = []
        for threads, rate in RATES.items():
            params = {"threads": threads, "seconds": 5, "mode": "letter", "smp": 4}
            shift = 1 + self.random.gauss(0, self.noise)
            for repeat in range(self.repeat):
                value = rate * shift * (1 + self.random.gauss(0, self.noise / 4))
                value *= 1 + (self.effect if patched else 0)
                metric, unit = "faults_per_minute", "faults/min"
                if self.accel == "icount":
                    metric, unit = "instructions_per_fault", "instructions"
                    value = 6680 * (1 + threads / 50) * shift * (1 - self.effect * patched)
                found.append(self._sample(
                    boot, variant, workload="multi-fault", params=params, repeat=repeat,
                    metric=metric, value=round(value, 2), unit=unit,
                ))  # fmt: skip
        return found
