"""What may be compared with what: bases, builds and machines of merged runs.

Two samples belong to one column only when their kernels are the same build, and
to one row only when base, accel and machine agree. Anything else is kept apart
and said aloud.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.core import digest
from harness.records.old_runs import CONTROL_MARK, Run
from harness.report.data import planned as plan

Key = tuple[str, str]  # run, variant
BUILD_FIELDS = ("release", "config_digest", "patches", "source_digest", "compiler")


@dataclass
class Identity:
    """Labels, bases and machines of every (run, variant)."""

    variants: list[str] = field(default_factory=list)
    controls: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    labels: dict[Key, str] = field(default_factory=dict)
    bases: dict[Key, str] = field(default_factory=dict)
    machines: dict[str, str] = field(default_factory=dict)

    def label(self, run: str, variant: str) -> str:
        """The column a variant's samples stand in."""
        return self.labels.get((run, variant), variant)

    def base(self, run: str, variant: str) -> str:
        """The variant's base, or "" when the run does not say."""
        return self.bases.get((run, variant), "")

    def machine(self, run: str) -> str:
        """The host, such as ``2 x Intel Xeon``."""
        return self.machines.get(run, "unknown host")


def identify(runs: Sequence[tuple[str, Run, Iterable[str]]]) -> Identity:
    """Work out what belongs together; each run with its name and its samples' variants."""
    identity = Identity()
    builds: dict[Key, str] = {}
    for name, run, sampled in runs:
        identity.machines[name] = machine_of(run.host)
        names = [*plan.variants(run.plan), *run.variants, *sampled]
        for variant in dict.fromkeys(names):
            meta = run.variants.get(variant, {})
            identity.bases[name, variant] = _text(meta.get("base", run.plan.get("base", "")))
            builds[name, variant] = _build_of(meta)
    _label(identity, builds)
    _find_controls(identity, builds)
    # The reference side first, whatever the merging did to the order; then its controls.
    reference = next(iter(builds))[1] if builds else ""
    identity.variants.sort(
        key=lambda label: (label.split("@")[0] != reference, label not in identity.controls)
    )
    return identity


def machine_of(host: dict[str, Any]) -> str:
    """``cores x cpu`` of a host record."""
    cpu, cores = _text(host.get("cpu", "")), host.get("cores")
    if not cpu and not cores:
        return "unknown host"
    return f"{cores or '?'} x {cpu or 'unknown CPU'}"


def plural(count: int, word: str, many: str = "") -> str:
    """``1 boot``, ``2 boots``; ``many`` is the plural when it is not formed with an s."""
    return f"{count} {word}" if count == 1 else f"{count} {many or word + 's'}"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("name", ""))
    return str(value or "")


def _build_of(meta: dict[str, Any]) -> str:
    """A name for the build; "" when the record does not tell builds apart."""
    if meta.get("key"):
        return str(meta["key"])
    known = {name: meta[name] for name in BUILD_FIELDS if meta.get(name)}
    return digest.key(known) if known else ""


def _label(identity: Identity, builds: dict[Key, str]) -> None:
    """One label per variant, or ``variant@run`` where its builds differ between runs."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key, build in builds.items():
        found[key[1], identity.bases[key]].add(build)
    split = sorted({variant for (variant, _), kinds in found.items() if len(kinds) > 1})
    first: dict[tuple[str, str, str], str] = {}
    for (run, variant), build in builds.items():
        label = variant
        if variant in split:
            same = (variant, identity.bases[run, variant], build)
            label = first.setdefault(same, f"{variant}@{run}")
        identity.labels[run, variant] = label
    identity.variants = list(dict.fromkeys(identity.labels.values()))
    for variant in split:
        identity.warnings.append(
            f"Variant '{variant}' is not the same build in every run: "
            "its runs stand in columns of their own."
        )


def _find_controls(identity: Identity, builds: dict[Key, str]) -> None:
    """Variants of one run that are the first one's build under another name."""
    runs: dict[str, list[str]] = defaultdict(list)
    for run, variant in builds:
        runs[run].append(variant)
    for run, names in runs.items():
        first = builds[run, names[0]]
        for other in names[1:]:
            if (first and builds[run, other] == first) or other == names[0] + CONTROL_MARK:
                identity.controls.add(identity.labels[run, other])
