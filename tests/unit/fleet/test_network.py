"""A fleet whose hosts are network namespaces, over TLS; boots and tests only pretend."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.records.store import load_boots, load_run
from tests import fleetnet
from tests.fleetnet import CLIENT, SCHEDULER, FleetNet, fleet_net
from tests.places import ROOT
from tests.unit.fleet import batchpretence, pretence
from tests.unit.fleet.test_batches import WHOLE
from tests.unit.fleet.test_fleet import await_that, doers

ABSENT = fleetnet.missing()
pytestmark = [
    pytest.mark.skipif(bool(ABSENT), reason=f"a fleet in network namespaces {ABSENT}"),
    pytest.mark.timeout(300),
]
WORKERS = ("one", "two", "three")


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetNet]:
    """A scheduler and three workers that run."""
    with fleet_net(tmp_path_factory.mktemp("net"), WORKERS) as made:
        made.begin_all()
        yield made


def client(
    net: FleetNet, kind: str, run: Path, stage: Path, file: Path | None = None
) -> subprocess.Popen[bytes]:
    """A client on a host of its own."""
    where = str(file or net.file)
    return net.start(
        CLIENT, sys.executable, "-m", f"tests.unit.fleet.{kind}", where, str(run), str(stage)
    )


def off(stage: Path) -> str:
    """The host that took itself off the network."""
    return str(json.loads((stage / "off").read_text()))


def busy(net: FleetNet, name: str) -> bool:
    """Whether a worker does boots or tests now: it has a directory for them."""
    scratch = net.folder / f"{name}.scratch"
    return any(scratch.rglob("boots.*")) or any(scratch.rglob("tests.*"))


def test_hosts_with_addresses_of_their_own_measure_what_one_process_does(
    net: FleetNet, tmp_path: Path, stage: Path
) -> None:
    pretence.alone(tmp_path / "alone", pretence.plan(stage))
    held = [stage / f"wait-{boot}" for boot in (0, 2, 4)]
    for one in held:
        one.touch()
    process = client(net, "client", tmp_path / "run", stage)
    await_that(lambda: all(busy(net, name) for name in WORKERS), 120)
    for one in held:
        one.unlink()
    assert process.wait(120) == 0, net.said(CLIENT)
    assert pretence.measured(tmp_path / "run") == pretence.measured(tmp_path / "alone")
    assert pretence.done(tmp_path / "run") == [0, 1, 2, 3, 4, 5]
    assert set(load_run(tmp_path / "run").hosts) == set(WORKERS)
    where = {one.boot: one.ran_on for one in load_boots(tmp_path / "run")[0]}
    assert all(where[boot] == where[boot + 1] for boot in (0, 2, 4)), "a pair is one host's"


def test_a_suite_on_hosts_with_addresses_of_their_own(
    net: FleetNet, tmp_path: Path, stage: Path
) -> None:
    assert client(net, "batchclient", tmp_path / "run", stage).wait(120) == 0, net.said(CLIENT)
    assert batchpretence.said(tmp_path / "run") == WHOLE


def test_nothing_that_others_can_reach_talks_without_a_certificate(net: FleetNet) -> None:
    found: dict[str, set[str]] = {}
    for name in (SCHEDULER, *WORKERS):
        listing = subprocess.run(
            net.on(name, "ss", "-Hltn"), check=True, capture_output=True, text=True
        ).stdout
        heard = [line.split()[3].rpartition(":") for line in listing.splitlines()]
        found[net.addresses[name]] = {
            port for address, _, port in heard if not address.startswith("127.")
        }
    assert [len(ports) > 0 for ports in found.values()] == [True] * (1 + len(WORKERS))
    reached = [f"{address}:{port}" for address, ports in found.items() for port in ports]
    program = "import sys; from tests.unit.fleet.test_network import greet; greet(sys.argv[1:])"
    done = subprocess.run(
        net.on(CLIENT, sys.executable, "-c", program, *reached), cwd=ROOT,
        check=False, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stderr


def greet(reached: list[str]) -> None:
    """Talk TLS to ports, without a certificate: they must end the connection for want of one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for one in reached:
        host, _, port = one.rpartition(":")
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"), \
                socket.create_connection((host, int(port)), 10) as plain, \
                context.wrap_socket(plain) as line:
            line.settimeout(10)
            line.recv(1)


def test_a_certificate_of_somebody_else_is_refused_in_one_line(
    net: FleetNet, tmp_path: Path, stage: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    fleetnet.certificates(other)
    shutil.copy(net.folder / "ca.pem", other)  # it knows the scheduler; the scheduler not it
    shutil.copy(net.file, other)
    before = len(net.said(CLIENT))
    process = client(net, "client", tmp_path / "run", stage, other / net.file.name)
    assert process.wait(60) == 2
    (line,) = net.said(CLIENT)[before:].splitlines()
    assert "or it does not take us" in line


def test_a_host_that_is_cut_off_and_comes_back_in_the_middle_of_a_measurement(
    net: FleetNet, tmp_path: Path, stage: Path
) -> None:
    run, held = tmp_path / "run", stage / "wait-4"
    pretence.alone(tmp_path / "alone", pretence.plan(stage))
    (stage / "done").unlink()
    (stage / "cut-2").touch()
    held.touch()
    process = client(net, "client", run, stage)
    await_that((stage / "off").exists, 60)
    name = off(stage)
    await_that(lambda: pretence.done(run) == [0, 1, 2, 3], 120)  # while it is away
    net.mend(name)
    held.unlink()
    assert process.wait(120) == 0, net.said(CLIENT)
    assert pretence.measured(run) == pretence.measured(tmp_path / "alone")
    assert pretence.done(run) == [0, 1, 2, 3, 4, 5]
    times = [boot for boot, _ in doers(stage)].count(2)
    assert times > len(pretence.CELLS), "it was done by both, and taken of one"
    where = {one.boot: one.ran_on for one in load_boots(run)[0]}
    assert name not in (where[2], where[3])
    back(net, name)


def test_a_host_that_is_cut_off_in_the_middle_of_a_suite(
    net: FleetNet, tmp_path: Path, stage: Path
) -> None:
    (stage / "cut-t3").touch()
    assert client(net, "batchclient", tmp_path / "run", stage).wait(120) == 0, net.said(CLIENT)
    assert batchpretence.said(tmp_path / "run") == WHOLE
    name = off(stage)
    net.mend(name)
    back(net, name)


def back(net: FleetNet, name: str) -> None:
    """The worker that was cut off is there for the next test."""
    if net.ended(name):
        net.begin(name)
