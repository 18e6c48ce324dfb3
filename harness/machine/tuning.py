"""What decides how fast a real computer is beside its kernel: read, set for a boot, put back."""

from __future__ import annotations

from collections.abc import Callable

from harness.core.errors import InfrastructureError
from harness.project.machine_tables import TuningTable
from harness.records.machines import Hardware

Ask = Callable[[str], str]
"""Runs a command on the computer and gives its standard output."""
CPU, NODE = "/sys/devices/system/cpu", "/sys/devices/system/node"
READ = f"""one() {{ cat "$@" 2> /dev/null | sort -u | tr '\\n' ' '; }}
echo "governor=$(one {CPU}/cpu[0-9]*/cpufreq/scaling_governor)"
echo "no_turbo=$(one {CPU}/intel_pstate/no_turbo)"
echo "boost=$(one {CPU}/cpufreq/boost)"
echo "smt=$(one {CPU}/smt/control)"
echo "numa_balancing=$(one /proc/sys/kernel/numa_balancing)"
echo "nodes=$(ls -d {NODE}/node[0-9]* 2> /dev/null | wc -l)"
echo "microcode=$(sed -n 's/^microcode[^:]*: //p' /proc/cpuinfo | sort -u | tr '\\n' ' ')"
echo "pmu=$(ls /sys/bus/event_source/devices 2> /dev/null | grep -x 'cpu\\|cpu_core' | head -n 1)"
"""
ONOFF = {"0": "off", "1": "on"}
WRITE = {
    "governor": f"for f in {CPU}/cpu[0-9]*/cpufreq/scaling_governor; do echo {{0}} > $f; done",
    "turbo": f"if [ -e {CPU}/intel_pstate/no_turbo ]; then echo $((1 - {{1}})) > "
             f"{CPU}/intel_pstate/no_turbo; else echo {{1}} > {CPU}/cpufreq/boost; fi",
    "smt": f"echo {{0}} > {CPU}/smt/control",
    "numa_balancing": "echo {1} > /proc/sys/kernel/numa_balancing",
}
"""Setting to the command that sets it; ``{0}`` is the word, ``{1}`` 1 for on and 0 for off."""


def read(ask: Ask) -> Hardware:
    """How the computer is now."""
    found = dict(line.split("=", 1) for line in ask(READ).splitlines() if "=" in line)
    value = {key: text.strip() for key, text in found.items()}
    governors = value.get("governor", "").split()
    turbo = ONOFF.get(value.get("boost", ""), "")
    if value.get("no_turbo"):
        turbo = "off" if value["no_turbo"] == "1" else "on"
    nodes = value.get("nodes", "0")
    return Hardware(
        governor=governors[0] if len(governors) == 1 else "mixed" if governors else "",
        turbo=turbo, smt=value.get("smt", ""),
        numa_balancing=ONOFF.get(value.get("numa_balancing", ""), ""),
        numa_nodes=int(nodes) if nodes.isdigit() else 0, microcode=value.get("microcode", ""),
        pmu="cpu" if value.get("pmu") else "",
    )


def tune(ask: Ask, table: TuningTable) -> Hardware:
    """Set what harness.toml says; how the computer is then, and what was changed.

    Raises :class:`InfrastructureError` for a setting that the computer does not take: a number
    measured under another one would bear the wrong name.
    """
    before = read(ask)
    wanted = {key: str(value) for key, value in table.model_dump().items() if value}
    changed: dict[str, str] = {}
    for key, value in wanted.items():
        was = str(getattr(before, key))
        if was == value:
            continue
        ask(_command(key, value))
        changed[key] = was
    after = read(ask)
    for key, value in wanted.items():
        if (now := str(getattr(after, key))) != value:
            put_back(ask, changed)
            raise InfrastructureError(
                f"{key} cannot be set to {value} here: it is {now or 'not there'}",
                hint="drop it from the machine's tuning table",
            )
    return after.model_copy(update={"changed": changed})


def put_back(ask: Ask, changed: dict[str, str]) -> None:
    """Set what :func:`tune` changed to what it was before."""
    for key, value in changed.items():
        if value and value != "mixed":  # what was not there cannot be put back
            ask(_command(key, value))


def _command(key: str, value: str) -> str:
    number = "1" if value == "on" else "0"
    return WRITE[key].format(value, number) + " 2> /dev/null; true"
