"""What the shell is offered for the value of an option: names of the project around it.

The shell waits and shows whatever is printed: every answer is quick, reads files only, and is
empty where anything is wrong. The command itself will say what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

Offer: TypeAlias = str | tuple[str, str]
"""A value, or a value and what it is."""
NEWEST = 5  # runs whose verdicts are offered


def _offered(names: Callable[[], Iterable[Offer]], incomplete: str) -> list[Offer]:
    """Those that begin as the user did."""
    try:
        return [one for one in names() if _value(one).startswith(incomplete)]
    except Exception:
        return []


def _of_a_list(names: Callable[[], Iterable[Offer]], incomplete: str) -> list[Offer]:
    """The same for the last of comma-separated values; none is offered twice."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",") if comma else []
    return [
        f"{before}{comma}{_value(one)}" if comma else one
        for one in _offered(names, last) if _value(one) not in given
    ]


def _value(one: Offer) -> str:
    return one if isinstance(one, str) else one[0]


def variant(incomplete: str) -> list[Offer]:
    """A variant of harness.toml."""
    return _offered(_variants, incomplete)


def variants(incomplete: str) -> list[Offer]:
    """Variants, comma-separated."""
    return _of_a_list(_variants, incomplete)


def base(incomplete: str) -> list[Offer]:
    """A base of harness.toml."""
    return _offered(_bases, incomplete)


def machine(incomplete: str) -> list[Offer]:
    """A machine of harness.toml."""
    return _offered(_machines, incomplete)


def profile(incomplete: str) -> list[Offer]:
    """A profile of harness.toml, or a built-in one."""
    return _offered(_profiles, incomplete)


def workload(incomplete: str) -> list[Offer]:
    """A workload, the project's or a built-in one; outside of any project too."""
    return _offered(_workloads, incomplete)


def workloads(incomplete: str) -> list[Offer]:
    """Workloads, comma-separated."""
    return _of_a_list(_workloads, incomplete)


def suite(incomplete: str) -> list[Offer]:
    """A suite of tests."""
    return _offered(_suites, incomplete)


def series(incomplete: str) -> list[Offer]:
    """A series of harness.toml."""
    return _offered(_series, incomplete)


def run(incomplete: str) -> list[Offer]:
    """The directory of a run below the project's results, the newest first."""
    return _offered(_runs, incomplete)


def verdict(incomplete: str) -> list[Offer]:
    """The ID of a test in one of the newest runs of suites."""
    return _offered(_verdicts, incomplete)


def _variants() -> Iterable[Offer]:
    from harness.project import reading  # noqa: PLC0415

    return reading.load().config.variants


def _bases() -> Iterable[Offer]:
    from harness.project import reading  # noqa: PLC0415

    return [(name, one.place) for name, one in reading.load().config.bases.items()]


def _machines() -> Iterable[Offer]:
    from harness.project import reading  # noqa: PLC0415

    return [(name, one.address) for name, one in reading.load().config.machines.items()]


def _profiles() -> Iterable[Offer]:
    from harness.project import reading  # noqa: PLC0415

    return [(name, one.description) for name, one in reading.load().config.profiles.items()]


def _series() -> Iterable[Offer]:
    from harness.project import reading  # noqa: PLC0415

    return reading.load().config.series


def _workloads() -> Iterable[Offer]:
    from harness.measure import workloads as known  # noqa: PLC0415
    from harness.project import adhoc  # noqa: PLC0415

    return [(name, one.record().title) for name, one in known.of(adhoc.around()).items()]


def _suites() -> Iterable[Offer]:
    from harness.suites.registry import SUITES  # noqa: PLC0415

    return [(name, one.title) for name, one in SUITES.items()]


def _runs() -> Iterable[Offer]:
    from harness.project import adhoc  # noqa: PLC0415
    from harness.records.store import RUN_FILE  # noqa: PLC0415

    return [_as_typed(path.parent) for path in _newest(adhoc.around().results, RUN_FILE)]


def _verdicts() -> Iterable[Offer]:
    from harness.project import reading  # noqa: PLC0415
    from harness.records.store import VERDICTS_FILE, load_verdicts  # noqa: PLC0415

    found: dict[str, str] = {}
    for path in _newest(reading.load().results, VERDICTS_FILE)[:NEWEST]:
        for one in load_verdicts(path.parent)[0]:
            found.setdefault(one.ident, f"{one.verdict}: {one.test} on {one.variant}")
    return list(found.items())


def _newest(results: Path, name: str) -> list[Path]:
    """Files of that name, of a run or of one in a night, the newest first."""
    found = [*results.glob(f"*/{name}"), *results.glob(f"*/*/{name}")]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _as_typed(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
