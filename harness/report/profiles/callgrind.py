"""A profile as a callgrind file, which KCachegrind and callgrind_annotate open."""

from __future__ import annotations

from collections import defaultdict

from harness.records.profiles import CellProfile, PathTable


def inclusive(paths: PathTable) -> list[int]:
    """Instructions of each node and everything that it called."""
    sums = list(paths.instructions)
    for i in range(len(sums) - 1, 0, -1):  # children come after their parents
        sums[paths.parent[i]] += sums[i]
    return sums


def render(profile: CellProfile) -> str:
    """The file's text: own cost and calls of each function, with what the calls cost.

    Calls are those of the window that was followed; a profile without one has costs only.
    """
    files = dict(zip(profile.functions.function, profile.functions.file, strict=True))
    own: dict[str, int] = defaultdict(int)
    calls: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    paths = profile.paths
    if paths is None:
        own.update({
            name: round(count) for name, count in
            zip(profile.functions.function, profile.functions.instructions, strict=True)
        })
    else:
        costs = inclusive(paths)
        for i in range(1, len(paths.function)):
            name, caller = paths.function[i], paths.function[paths.parent[i]]
            own[name] += paths.instructions[i]
            count, cost = calls[caller].get(name, (0, 0))
            calls[caller][name] = (count + paths.calls[i], cost + costs[i])
    params = " ".join(f"{key}={value}" for key, value in profile.params.items())
    lines = [
        "# callgrind format", "version: 1", "creator: pte-harness",
        f"cmd: {profile.workload} {params}".rstrip(),
        f"desc: Variant: {profile.variant}, boot {profile.boot}, one window "
        f"({profile.units:g} x {profile.unit})",
        "positions: line", "events: Ir", "event: Ir : Instructions of the kernel",
        f"summary: {sum(own.values())}", "",
    ]
    for name in sorted({*own, *calls}):
        lines += [f"fl={files.get(name, '') or '???'}", f"fn={name}", f"0 {own.get(name, 0)}"]
        for callee, (count, cost) in sorted(calls.get(name, {}).items()):
            lines += [
                f"cfi={files.get(callee, '') or '???'}", f"cfn={callee}",
                f"calls={max(count, 1)} 0", f"0 {cost}",
            ]
        lines.append("")
    return "\n".join(lines)
