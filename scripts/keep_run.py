#!/usr/bin/env python3
"""Copy what of a run is worth committing: its sources, small, without paths of this machine.

    .venv/bin/python scripts/keep_run.py results/RUN results/reference/NAME
    .venv/bin/python scripts/keep_run.py results/nightly/NIGHT results/reference/nightly/NIGHT

Sources are run.json, boots.jsonl, samples.jsonl and verdicts.jsonl; pages, plots, consoles and raw
output are left behind. Points of time series are, too (``--series`` keeps them: they are needed to
draw a plot over time). Keys that have their default are left out, as docs/records.md says them.
What was written is read back and must be equal to what was read. A directory that holds several
runs, as a night does, is copied run by run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from harness.core.workspace import Workspace
from harness.records.boots import BootRecord
from harness.records.plans import SuitePlan
from harness.records.record import Record
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.store import BOOTS_FILE, RUN_FILE, SAMPLES_FILE, VERDICTS_FILE, load_run
from harness.records.verdicts import Verdict

R = TypeVar("R", bound=Record)
LINES: tuple[tuple[str, type[Record]], ...] = (
    (BOOTS_FILE, BootRecord), (SAMPLES_FILE, Sample), (VERDICTS_FILE, Verdict),
)


def keep(run: Path, target: Path, cache: Path, *, series: bool = False) -> int:
    """Copy a run's sources; returns their bytes. Raises what reading a damaged run raises."""
    record = load_run(run)
    names = placeholders(record, run, cache)
    target.mkdir(parents=True, exist_ok=True)
    plain = Run.model_validate_json(replaced(record.model_dump_json(), names))
    small = plain.model_dump(mode="json", exclude_defaults=True)
    small["schema_version"] = plain.schema_version
    small["plan"]["kind"] = plain.plan.kind
    lines = [f'"{key}":{json.dumps(value, separators=(",", ":"))}' for key, value in small.items()]
    (target / RUN_FILE).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    if load_run(target) != plain:
        raise SystemExit(f"{target / RUN_FILE} is not what {run} says")
    size = (target / RUN_FILE).stat().st_size
    for name, model in LINES:
        if (run / name).is_file():
            size += keep_lines(run / name, target / name, model, names, series=series)
    return size


def keep_lines(
    source: Path, target: Path, model: type[Record], names: Sequence[tuple[str, str]], *,
    series: bool,
) -> int:
    """Copy a file of records, one a line; returns its bytes."""
    lines = []
    for line in source.read_text().splitlines():
        if not line.strip():
            continue
        one = model.model_validate_json(replaced(line, names))
        if isinstance(one, Sample) and one.t is not None and not series:
            continue
        lines.append(one.model_dump_json(exclude_defaults=True))
        if model.model_validate_json(lines[-1]) != one:
            raise SystemExit(f"{source}: a line cannot be shortened: {line[:100]}")
    target.write_text("".join(f"{line}\n" for line in lines))
    return target.stat().st_size


def placeholders(run: Run, directory: Path, cache: Path) -> list[tuple[str, str]]:
    """What stands for places of this machine and for its mirrors, the longest first."""
    mirrors = {kernel.source.details.get("mirror", "") for kernel in run.kernels.values()}
    found = {
        str(directory.resolve()): "$RUN", str(cache.resolve()): "$CACHE",
        **dict.fromkeys(mirrors, "$MIRROR"),
        **({run.plan.ltp: "$LTP"} if isinstance(run.plan, SuitePlan) else {}),
    }
    known = [(text, name) for text, name in found.items() if text and not text.startswith("$")]
    return sorted(known, key=lambda pair: -len(pair[0]))


def replaced(text: str, names: Sequence[tuple[str, str]]) -> str:
    """The text with placeholders; these need no quoting in JSON, nor do paths."""
    for place, name in names:
        text = text.replace(place, name)
    return text


def runs_in(directory: Path) -> Iterator[Path]:
    """The directory if it holds a run, else those in it that do."""
    if (directory / RUN_FILE).is_file():
        yield directory
    else:
        yield from sorted(path.parent for path in directory.glob(f"*/{RUN_FILE}"))


def main(arguments: Sequence[str]) -> int:
    """Copy one run, or every run of a night."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("run", type=Path, help="a run, or a directory of runs such as a night")
    parser.add_argument("target", type=Path, help="where its copy goes")
    parser.add_argument("--series", action="store_true", help="keep points of time series")
    parser.add_argument("--cache", type=Path, default=None, help="the workspace that made it")
    given = parser.parse_args(arguments)
    cache = given.cache or Workspace(None).root
    found = list(runs_in(given.run))
    for run in found:
        target = given.target if run == given.run else given.target / run.name
        size = keep(run, target, cache, series=given.series)
        sys.stdout.write(f"{target}: {size / 1000:.0f} kB\n")
    return 0 if found else parser.error(f"{given.run} holds no run")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
