"""Synthetic runs for the tests: the files that a bench would write, made through the records."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from harness.records.boots import BootRecord, BootStatus, MachineState
from harness.records.events import Crash
from harness.records.hosts import AccelChoice, Emulator, HarnessVersion, Host
from harness.records.kernels import Kernel, PatchRecord, SourceRecord
from harness.records.plans import Block, Cell, Figure, Pair, Plan, PlannedBoot, Published
from harness.records.record import AccelName, Params
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.store import RunWriter
from harness.records.workloads import Metric, WorkloadRecord

UNPATCHED = ("before", "reclaim-off")
CPU = "Intel(R) Xeon(R) Processor"
OOPS = "BUG: kernel NULL pointer dereference, address: 0000000000000008\nRIP: 0010:pte_put+0x1a\n"
RATES = {1: 3_400_000.0, 8: 5_100_000.0, 16: 4_900_000.0}
VMPTE: Params = {"size_gib": 50, "touch": "page"}
STARTED = "2026-11-23T01:02:03Z"

WORKLOADS = {
    "vmpte": WorkloadRecord(name="vmpte", title="A loop over memory", metrics=[
        Metric(name="VmPTE", unit="kB", kind="memory", better="less", exact=True, slack=8,
               headline=True),
        Metric(name="VmRSS", unit="kB", better="less", slack=256),
        Metric(name="VmSize", unit="kB", exact=True),
    ]),
    "multi-fault": WorkloadRecord(name="multi-fault", title="Faults", metrics=[
        Metric(name="faults_per_minute", unit="faults/min", kind="cost", better="more",
               headline=True, label="page faults a minute"),
        Metric(name="instructions_per_fault", unit="instructions", kind="cost", better="less",
               headline=True, label="instructions per page fault"),
        Metric(name="page_faults", unit="faults"),
    ]),
}
PUBLISHED = Published(
    name="letter", title="The letter", citation="A. Author, message-id 1@example.org",
    base="next-20210812", hardware="hardware that it does not describe",
    notes=["One of its figures does not follow from the others."],
    figures=[
        Figure(workload="vmpte", params={"size_gib": 50}, metric="VmPTE", baseline=102_640,
               variant=248, printed=("102640 kB", "248 kB"), label="VmPTE", unit="kB"),
        Figure(workload="vmpte", params={"size_gib": 50}, metric="VmSize", baseline=50 << 20,
               variant=50 << 20, printed=("50.0 GB", "50.0 GB"), label="VIRT", unit="GB",
               scale=1 << 20),
        *(
            Figure(workload="multi-fault", params={"threads": threads, "mode": "letter"},
                   metric="faults_per_minute", baseline=before, variant=after,
                   printed=(f"{before:,}", f"{after:,}"), printed_delta_pct=delta)
            for threads, before, after, delta in (
                (1, 32_085_255, 31_880_833, -0.64), (8, 101_674_967, 100_588_311, -1.17),
                (16, 113_207_000, 112_801_832, -0.36),
            )
        ),
    ],
)


def kernel(name: str, base: str = "debian-6.1", key: str = "", release: str = "") -> Kernel:
    """The record of a variant's build."""
    patched = not name.startswith(UNPATCHED)
    return Kernel(
        variant=name, key=key or f"key-{name}", base=base, lineage=base,
        release=release or f"6.1.187-{name}",
        source=SourceRecord(kind="debian", version="6.1.187-1", digest="ab" * 32),
        patches=[PatchRecord(name="0001-mm.patch", sha256="ab" * 32)] if patched else [],
        config_digest="c0ffee" * 4, compiler="gcc (Debian 12.2.0-14+deb12u1) 12.2.0",
    )


def cells(accel: str, repeat: int) -> list[Cell]:
    """The letter's two measurements."""
    faults: list[Params] = [
        {"threads": threads, "seconds": 5, "mode": "letter", "smp": 4} for threads in RATES
    ]
    return [
        Cell(workload="vmpte", params=VMPTE, accel=accel, label="50 GiB loop"),
        *(
            Cell(workload="multi-fault", params=params, repeat=repeat, accel=accel,
                 label=f"{params['threads']} thread{'s' * (params['threads'] != 1)}")
            for params in faults
        ),
    ]


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a JSON file by hand, as an editor or an accident would."""
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_lines(path: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Change each line of a file of JSON lines; None drops it."""
    lines = [change(json.loads(line)) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines if line is not None))


@dataclass
class MakeRun:
    """Writes one run; ``status`` is by boot: how it ended, or ``missing`` for no record."""

    directory: Path
    name: str = "20261123-010203"
    variants: Sequence[str] = ("before", "after")
    pairs: Sequence[tuple[str, str]] | None = None
    """(baseline, variant); None: each against the first."""
    control: bool = False
    boots: int = 2
    repeat: int = 2
    accel: AccelName = "tcg"
    base: str = "debian-6.1"
    bases: dict[str, str] = field(default_factory=dict)
    """Of variants that stand on another one."""
    noise: float = 0.01
    effect: float = -0.01
    cpu: str = CPU
    seeds: bool = False
    status: dict[int, BootStatus | Literal["missing"]] = field(default_factory=dict)
    skip: Callable[[int, Sample], bool] = lambda boot, sample: False
    seed: int = 1
    keys: dict[str, str] = field(default_factory=dict)
    series: bool = True
    published: bool = True

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def order(self) -> list[tuple[str, bool]]:
        """A, B, B, A, ... with the control in between: variant and whether it is the control."""
        sides = [(name, False) for name in self.variants]
        if self.control:
            sides.insert(1, (self.variants[0], True))
        found: list[tuple[str, bool]] = []
        for pair in range(self.boots):
            found += sides if pair % 2 == 0 else sides[::-1]
        return found

    def run(self) -> Run:
        """The record of the run."""
        accel = "icount" if self.accel == "icount" else "auto"
        planned = cells(accel, self.repeat)
        first = self.variants[0]
        pairs = self.pairs if self.pairs is not None else [(first, v) for v in self.variants[1:]]
        plan = Plan(
            profile="quick", base=self.base, variants=list(self.variants), accel=accel, smp=4,
            memory="4G", cells=planned,
            blocks=[Block(accel=accel, rounds=self.boots, control=self.control)],
            boots=[
                PlannedBoot(index=index, variant=variant, control=control, accel=accel,
                            seed=self._seed(index), cells=list(range(len(planned))))
                for index, (variant, control) in enumerate(self.order())
            ],
            comparisons=[Pair(baseline=one, variant=two) for one, two in pairs],
            published=[PUBLISHED] if self.published else [],
        )
        return Run(
            run=self.name, status="complete", started=STARTED, finished="2026-11-23T01:12:03Z",
            harness=HarnessVersion(version="0.1.0", git="550c5078a0"), plan=plan,
            kernels={
                name: kernel(name, self.bases.get(name, self.base), self.keys.get(name, ""))
                for name in self.variants
            },
            workloads=WORKLOADS,
            accels=[AccelChoice(name=self.accel, reason="KVM did not boot a guest: MSR 0x10a")],
            emulator=Emulator(binary="qemu-system-x86_64", version="10.0.2"),
            host=Host(cpu=self.cpu, cores=2, memory_kb=24 << 20, kernel="6.1.0-35-amd64"),
        )

    def _seed(self, boot: int) -> int:
        return boot // (len(self.variants) + self.control)

    def write(self) -> Path:
        """Write the files; returns the directory."""
        writer = RunWriter(self.directory, self.run())
        for boot, (variant, control) in enumerate(self.order()):
            found = self.samples(boot, variant, control)
            writer.samples([s for s in found if not self.skip(boot, s)])
            status = self.status.get(boot, "ok")
            if status != "missing":
                writer.boot(self.record(boot, variant, control, status))
        return self.directory

    def record(self, boot: int, variant: str, control: bool, status: BootStatus) -> BootRecord:
        """The record of a boot that ended as told."""
        crash = None
        if status == "crashed":
            params: Params = {"threads": 8, "seconds": 5}
            crash = Crash(kind="oops", text=OOPS, workload="multi-fault", params=params)
        return BootRecord(
            boot=boot, variant=variant, control=control, accel=self.accel, status=status,
            started=f"2026-11-23T01:0{boot % 10}:00Z", seconds_to_ready=5.25,
            qemu_argv=["qemu-system-x86_64", "-smp", "4"],
            state=MachineState(
                uname=f"Linux guest 6.1.187-{variant} #1 SMP x86_64", cpus=4,
                cmdline="console=ttyS0 panic=-1", thp="always madvise [never]",
            ),
            host_load=[1.5, 1.2, 0.9], crash=crash, console=f"boots/{boot:03}/console.log",
            seed=self._seed(boot) if self.seeds else None,
        )

    def samples(self, boot: int, variant: str, control: bool) -> list[Sample]:
        """All samples of a boot: the vmpte cell, then three multi-fault cells."""

        def sample(
            metric: str, value: float, unit: str, *, workload: str = "vmpte",
            params: Params = VMPTE, repeat: int = 0, t: float | None = None,
        ) -> Sample:
            return Sample(
                run=self.name, variant=variant, control=control, boot=boot, accel=self.accel,
                workload=workload, params=params, repeat=repeat, metric=metric, value=value,
                unit=unit, t=t,
            )

        patched = not variant.startswith(UNPATCHED)
        found = []
        points = 40 if self.series else 0
        for step in range(points):
            kb = 248 if patched else 40 + 102_400 * (step + 1) // points
            t = 0.05 * step + self.random.random() * 0.01
            found.append(sample("VmPTE", kb, "kB", t=t))
        rss = (3_300 if patched else 3_100) + self.random.randrange(60)
        for metric, held in {
            "VmPTE": 248 if patched else 102_440, "VmSize": 52_429_824, "VmRSS": rss,
        }.items():
            found.append(sample(metric, held, "kB"))
        counted = self.accel == "icount"
        for threads, rate in RATES.items():
            params: Params = {"threads": threads, "seconds": 5, "mode": "letter", "smp": 4}
            shift = 1 + self.random.gauss(0, self.noise)
            for repeat in range(self.repeat):
                value = rate * shift * (1 + self.random.gauss(0, self.noise / 4))
                value *= 1 + (self.effect if patched else 0)
                metric, unit = "faults_per_minute", "faults/min"
                if counted:
                    metric, unit = "instructions_per_fault", "instructions"
                    value = 6680 * (1 + threads / 50) * shift * (1 - self.effect * patched)
                found.append(sample(metric, round(value, 2), unit, workload="multi-fault",
                                    params=params, repeat=repeat))
        return found


def rows_json(analysis: Any) -> list[dict[str, Any]]:
    """The rows of an analysis in the JSON form, through JSON."""
    from harness.report.pages.exports import row_json

    plain = json.loads(json.dumps([row_json(row) for row in analysis.rows], allow_nan=False))
    return cast("list[dict[str, Any]]", plain)


def compared(row: dict[str, Any], variant: str = "after") -> dict[str, Any]:
    """A row's comparison of one variant."""
    return next(one for one in row["comparisons"] if one["variant"] == variant)
