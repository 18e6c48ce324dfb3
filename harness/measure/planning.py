"""What a run will do: cells, boots and their order, fixed before anything is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.core import sizes
from harness.core.errors import UserError
from harness.machine import accel as accels
from harness.measure import workloads
from harness.measure.schedule import schedule
from harness.measure.workloads import Catalogue
from harness.measure.workloads.workload import Settings, Workload
from harness.project.config import Profile, Project, WorkloadPlan, nearest
from harness.project.machine_tables import GUEST
from harness.records.plans import Block, Cell, Pair, Plan, Thp
from harness.records.record import Scalar

LEAST_MEMORY = 256 * sizes.MIB


@dataclass(frozen=True)
class Overrides:
    """What changes a profile; None changes nothing."""

    threads: Sequence[int] | None = None
    boots: int | None = None
    repeat: int | None = None
    seconds: int | None = None
    rounds: int | None = None
    workloads: Sequence[str] | None = None
    control: bool | None = None
    """An A/A control; None: where time is measured and there are variants to compare."""
    thp: Thp | None = None
    """Transparent huge pages of every cell."""
    layouts: int = 1
    """In how many layouts each kernel is measured."""
    params: Mapping[str, Scalar] = field(default_factory=dict)
    """Of workloads, by name."""
    again: bool = True
    """Whether a counted boot is done once more, to see that it repeats."""

    def flags(self) -> dict[str, tuple[str, Scalar | list[Scalar]]]:
        """Parameter to the option's name and value, of those that set a parameter."""
        found: dict[str, tuple[str, Scalar | list[Scalar]]] = {}
        if self.threads is not None:
            found["threads"] = ("--threads", list(self.threads))
        if self.seconds is not None:
            found["seconds"] = ("--duration", self.seconds)
        if self.rounds is not None:
            found["rounds"] = ("--rounds", self.rounds)
        return found


@dataclass(frozen=True)
class Where:
    """The machine that a plan asks for."""

    smp: int
    memory: str
    cmdline: str = ""
    machine: str = GUEST
    command: str = "bench"
    """What makes the plan: bench, compare, try."""
    tells_time: bool = False
    """Whether its clock says what a change costs, as KVM's does and an emulator's does not."""


def make_plan(
    project: Project, *, profile: str, variants: Sequence[str], where: Where,
    accel: str | None = None,
    overrides: Overrides | None = None, comparisons: Sequence[Pair] | None = None,
) -> Plan:
    """A plan from a profile of harness.toml.

    ``accel`` may name several, comma-separated; None takes what the profile says of
    each workload, else the clock that can tell: what has a cost is counted, and timed as well
    where the machine's time means anything; what is exact is read under whatever is fastest
    (``auto``). ``comparisons`` replaces those that harness.toml declares.
    Raises :class:`UserError` for an unknown name, a parameter out of range, an option that
    nothing in the plan takes, and a variant that would be compared with nothing.
    """
    overrides = overrides or Overrides()
    for name in variants:
        project.variant(name)
    if where.memory or where.machine == GUEST:
        sizes.parse(where.memory, "--memory", least=LEAST_MEMORY)
    pairs = declared(project, variants) if comparisons is None else list(comparisons)
    chosen = project.profile(profile)
    known = workloads.of(project)
    cells = _cells(known, chosen, overrides, accel, where.tells_time)
    blocks = [
        _block(name, chosen, overrides, len(variants))
        # What measures time first: counting does not mind when it is done.
        for name in sorted(dict.fromkeys(cell.accel for cell in cells), key="icount".__eq__)
    ]
    return Plan(
        command=where.command, profile=profile, base=project.config.defaults.base,
        variants=list(variants), layouts=overrides.layouts,
        accel=",".join(block.accel for block in blocks), machine=where.machine, smp=where.smp,
        memory=where.memory, cmdline=where.cmdline,
        packages=_packages(known, cells) if where.machine == GUEST else [],
        cells=cells, blocks=blocks,
        boots=schedule(
            variants, cells, blocks, layouts=overrides.layouts, again=overrides.again
        ), comparisons=pairs,
        published=project.config.published,
    )


def declared(project: Project, variants: Sequence[str]) -> list[Pair]:
    """What harness.toml compares among some variants.

    Raises :class:`UserError` for a comparison of two lineages that is not declared as one, and for
    a variant that is compared with nothing.
    """
    pairs = project.pairs(variants)
    compared = {name for pair in pairs for name in (pair.baseline, pair.variant)}
    alone = [name for name in variants if name not in compared]
    if alone and len(variants) > 1:
        raise UserError(
            f"{', '.join(alone)} would be measured and compared with nothing: no `comparisons` "
            f"entry of harness.toml names it together with another of {', '.join(variants)}",
            hint="declare one, or measure it in a run of its own",
        )
    return pairs


def _block(accel: str, profile: Profile, overrides: Overrides, variants: int) -> Block:
    counts = accel == "icount"
    usual = profile.histories if counts else profile.boots
    control = overrides.control
    return Block(
        accel=accel, rounds=usual if overrides.boots is None else overrides.boots,
        control=not counts and variants > 1 if control is None else control,
    )


def parse_accels(text: str) -> list[str]:
    """``"tcg,icount"`` as names without repeats; raises :class:`UserError` for an unknown one."""
    names = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in names:
        if name not in accels.NAMES:
            raise UserError(f"unknown accel '{name}'", hint=nearest(name, accels.NAMES))
    return names


def _cells(
    known: Catalogue, profile: Profile, overrides: Overrides, accel: str | None, tells_time: bool
) -> list[Cell]:
    only = overrides.workloads
    for name in only or ():
        workloads.get(name, known)
    wanted = [w for w in profile.workloads if only is None or w.name in only]
    planned = {w.name for w in wanted}
    wanted += [WorkloadPlan(name=name, repeat=1) for name in only or () if name not in planned]
    _check_taken(overrides, known, [workloads.get(w.name, known) for w in wanted])
    cells = [
        cell for w in wanted
        for clock in _clocks(known[w.name], w.accel or None if accel is None else accel, tells_time)
        for cell in _cells_of(w, known[w.name], overrides, clock)
    ]
    if not cells:
        raise UserError("the plan holds no workload")
    if overrides.seconds is not None and not any("seconds" in cell.params for cell in cells):
        raise UserError(
            "--duration is given, and everything in this plan runs for a number of rounds",
            hint="use --rounds, or measure time with --accel tcg or kvm",
        )
    return _telling(cells)


def _packages(known: Catalogue, cells: Sequence[Cell]) -> list[str]:
    """What the cells need of Debian that the usual image does not have."""
    return sorted({name for cell in cells for name in known[cell.workload].packages(cell.params)})


def _clocks(workload: Workload, asked: str | None, tells_time: bool) -> list[str]:
    """The accels under which a workload is measured; None: nobody asked for any."""
    if asked is not None:
        return parse_accels(asked)
    if any(metric.kind == "cost" for metric in workload.record().metrics):
        return ["auto", "icount"] if tells_time else ["icount"]
    return ["auto"]


def _check_taken(
    overrides: Overrides, known: Catalogue, wanted: Sequence[Workload]
) -> None:
    """Each option that sets a parameter is taken by a workload of the plan."""
    for key in overrides.params:
        takes = {name for one in wanted for params in one.cells({}) for name in params}
        if key not in takes:
            raise UserError(
                f"--param {key}: {' and '.join(workload.name for workload in wanted)} "
                f"{'has' if len(wanted) == 1 else 'have'} no such parameter",
                hint=nearest(key, takes),
            )
    for key, (option, _) in overrides.flags().items():
        if not any(key in workload.flags for workload in wanted):
            names = " and ".join(workload.name for workload in wanted)
            takers = [name for name, other in known.items() if key in other.flags]
            raise UserError(
                f"{option} is given, but {names} "
                f"{'takes' if len(wanted) == 1 else 'take'} no {key}",
                hint=f"leave it out; it is for {', '.join(takers)}",
            )


def _cells_of(
    wanted: WorkloadPlan, workload: Workload, overrides: Overrides, clock: str
) -> Iterator[Cell]:
    # What is counted repeats within a boot; boots tell how far it is to be trusted.
    usual = 1 if clock == "icount" else wanted.repeat
    repeat = usual if overrides.repeat is None else overrides.repeat
    for params in workload.cells(_settings(wanted, workload, overrides, clock)):
        yield Cell(
            workload=wanted.name, params=params, repeat=repeat, accel=clock,
            label=workload.label(params), thp=overrides.thp or wanted.thp or workload.thp,
        )


def _settings(
    wanted: WorkloadPlan, workload: Workload, overrides: Overrides, accel: str
) -> Settings:
    flags = overrides.flags().items()
    taken = {name for params in workload.cells({}) for name in params} if overrides.params else ()
    changed = {
        **wanted.params, **{k: value for k, (_, value) in flags if k in workload.flags},
        **{k: value for k, value in overrides.params.items() if k in taken},
    }
    # Time means nothing where instructions are counted: a fixed amount of work does.
    usual = workload.icount_params if accel == "icount" else {}
    return {**usual, **changed}


def _telling(cells: list[Cell]) -> list[Cell]:
    """The cells with labels that tell those of one workload and accel apart."""
    found = []
    for cell in cells:
        same = [
            other for other in cells
            if (other.workload, other.accel, other.label) == (cell.workload, cell.accel, cell.label)
        ]
        differ = [
            key for key in cell.params
            if len({repr(other.params.get(key)) for other in same}) > 1
        ]
        more = "".join(f", {key.replace('_', ' ')} {cell.params[key]}" for key in differ)
        found.append(cell.model_copy(update={"label": cell.label + more}))
    return found
