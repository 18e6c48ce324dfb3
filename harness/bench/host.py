"""What is known of the host and of this harness, for the record of a run."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

import harness
from harness.core.proc import capture


def describe_host() -> dict[str, Any]:
    """CPU model, number of cores this process may use, memory, kernel, load."""
    cpuinfo = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return {
        "cpu": model.group(1).strip() if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_kb": int(memory.group(1)) if memory else 0,
        "kernel": platform.release(),
        "load": [round(value, 2) for value in os.getloadavg()],
    }


def describe_harness(root: Path) -> dict[str, Any]:
    """Version, and the git revision of the checkout with whether it was changed."""
    if not (root / ".git").exists():
        return {"version": harness.__version__, "git": ""}
    git = ["git", "-C", str(root)]
    return {
        "version": harness.__version__,
        "git": capture([*git, "rev-parse", "HEAD"], check=False).strip(),
        "dirty": bool(capture([*git, "status", "--porcelain", "-uno"], check=False).strip()),
    }


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
