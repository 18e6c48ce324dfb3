"""The connection to Dask: workers of this computer, or a scheduler that somebody has started.

``local`` starts the scheduler in this process and workers as processes beside it, all on 127.0.0.1.
An address without TLS must be one of this computer (an SSH tunnel is): whoever reaches a scheduler
may run programs on its workers. A file names an address and the certificates of TLS::

    scheduler = "tls://10.0.0.1:8786"
    ca = "ca.pem"            # files are relative to this one
    cert = "me.pem"
    key = "me.key"
    wait = 60                # seconds for the first worker; the default
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import math
import os
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import harness
from harness.core import sizes
from harness.core.errors import UserError
from harness.core.plurals import plural
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet import working
from harness.records.plans import Plan, SuitePlan

LOCAL = "local"
GUEST = "guest"
"""The resource of Dask's that a task takes one of: how many guests a worker runs at a time."""
CONNECT_S = 10.0
FROZEN_S = 60.0
"""Without a sign of life a local worker is given up; a scheduler of the user's has its own."""
RESERVE = 2**30  # of memory, for the host itself


class FleetFile(BaseModel):
    """What FILE of ``--fleet FILE`` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheduler: str
    ca: str = ""
    cert: str = ""
    key: str = ""
    wait: float = Field(default=60.0, gt=0)


@dataclass(frozen=True)
class FleetChoice:
    """Where boots are done: ``local``, an address, or a file; ``workers`` is for ``local``."""

    where: str
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.where != LOCAL:
            raise UserError(
                f"--workers is for --fleet {LOCAL}; the workers of {self.where} are started "
                "beside its scheduler", hint="drop --workers",
            )

    def check(self) -> None:
        """That it names something; raises :class:`UserError`. Nobody is asked."""
        if self.where != LOCAL:
            _read(self.where)


@dataclass(frozen=True)
class Connection:
    """A client of Dask's that is connected, and what its scheduler is called."""

    client: Any
    label: str
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Address of a worker to the name of its host, of those that were there at the start."""
    patience: float = math.inf
    """Seconds to wait when every worker is gone: somebody starts others, but on this host."""

    def workers(self) -> dict[str, float]:
        """Address to the number of guests at a time, of the workers that run any."""
        # Not client.scheduler_info(): what it was told may be overwritten before it returns, by
        # the client's own look at the scheduler every two seconds, which asks for no workers.
        found = self.client.sync(self.client.scheduler.identity, n_workers=-1)["workers"]
        return {
            address: float(one["resources"][GUEST]) for address, one in found.items()
            if one.get("resources", {}).get(GUEST, 0) > 0
        }


@contextlib.contextmanager
def connected(
    choice: FleetChoice, plan: Plan | SuitePlan, workspace: Workspace, progress: Progress
) -> Iterator[Connection]:
    """A connection with at least one worker that does boots.

    Raises :class:`UserError` where Dask is not installed, where there is no scheduler, where it
    has no workers, and for an address that anybody could reach.
    """
    require_dask()
    _hush()
    if choice.where == LOCAL:
        count = choice.workers or usual_workers(plan)
        with _local(count, workspace) as connection:
            progress.say(f"fleet: {plural(count, 'worker')} on this host")
            yield connection
        return
    file = _read(choice.where)
    with _remote(file) as connection:
        yield replace(connection, hosts=_await_workers(connection, file.wait, progress))


def require_dask() -> None:
    """Raise :class:`UserError` where Dask is not installed."""
    try:
        import distributed  # noqa: F401, PLC0415
    except ImportError:
        raise UserError(
            "--fleet needs Dask distributed, which is not installed",
            hint="pip install 'pte-harness[fleet]'",
        ) from None


def _hush() -> None:
    """What Dask logs is said by us, in one line; its own words are tracebacks.

    Some of its loggers have levels of their own, which count more than their parent's.
    """
    for name in ("distributed", *logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def usual_workers(plan: Plan | SuitePlan) -> int:
    """How many guests of a plan this computer can run at a time without them sharing a CPU."""
    counts = (
        all(block.counts for block in plan.blocks) if isinstance(plan, Plan)
        else plan.accel == "icount"
    )
    threads = 1 if counts else max(1, plan.smp)
    cpus = len(os.sched_getaffinity(0)) // threads
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") - RESERVE
    each = sizes.parse(plan.memory, "memory") if plan.memory else 2**30
    return max(1, min(cpus, memory // each))


@contextlib.contextmanager
def _local(count: int, workspace: Workspace) -> Iterator[Connection]:
    import dask  # noqa: PLC0415
    from distributed import Client, LocalCluster  # noqa: PLC0415

    settings = {
        "distributed.scheduler.worker-ttl": f"{FROZEN_S:g}s",
        # Interference of a profiler of Python's, every 10 ms, is not wanted beside a guest.
        "distributed.worker.profile.enabled": False,
    }
    with (
        dask.config.set(settings),
        tempfile.TemporaryDirectory(prefix="dask.", dir=workspace.dir("tmp")) as scratch,
        LocalCluster(
            n_workers=count, threads_per_worker=1, processes=True, host="127.0.0.1",
            resources={GUEST: 1}, dashboard_address="127.0.0.1:0", memory_limit=0,
            silence_logs=logging.CRITICAL, local_directory=scratch,
            env={working.WORKSPACE_VARIABLE: str(workspace.root)},
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Connection(client, "this host", patience=2 * FROZEN_S)


def _read(where: str) -> FleetFile:
    """What an address or a file says, with the file's paths made whole."""
    if "://" in where:
        return _checked(FleetFile(scheduler=where), where)
    path = Path(where).expanduser()
    try:
        file = FleetFile.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise UserError(
            f"--fleet {where}: {error.strerror}",
            hint=f"give {LOCAL}, tcp://127.0.0.1:8786, or a file (docs/fleet.md)",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        raise UserError(f"{path}: {name}: {fault['msg'].lower()}") from error
    parts = {
        name: str(path.parent / Path(given).expanduser())
        for name in ("ca", "cert", "key") if (given := getattr(file, name))
    }
    for name, part in parts.items():
        if not Path(part).is_file():
            raise UserError(f"{path}: {name}: there is no file {part}")
    return _checked(file.model_copy(update=parts), str(path))


def _checked(file: FleetFile, where: str) -> FleetFile:
    scheme, host = urlsplit(file.scheduler).scheme, urlsplit(file.scheduler).hostname or ""
    if scheme == "tcp" and not _is_ours(host):
        raise UserError(
            f"{file.scheduler} is not encrypted: whoever reaches it could run programs on its "
            "workers", hint="use tls:// with certificates in a file, or an SSH tunnel "
            "(docs/fleet.md)",
        )
    if scheme == "tls" and not (file.ca and file.cert and file.key):
        raise UserError(
            f"{where}: tls:// needs ca, cert and key", hint="name them in a file (docs/fleet.md)"
        )
    if scheme not in ("tcp", "tls"):
        raise UserError(f"--fleet: '{file.scheduler}' begins with neither tcp:// nor tls://")
    return file


def _is_ours(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextlib.contextmanager
def _remote(file: FleetFile) -> Iterator[Connection]:
    from distributed import Client, Security  # noqa: PLC0415

    security = Security(
        tls_ca_file=file.ca, tls_client_cert=file.cert, tls_client_key=file.key,
        require_encryption=True,
    ) if file.scheduler.startswith("tls://") else None
    try:
        client = Client(
            file.scheduler, timeout=CONNECT_S, security=security, set_as_default=False
        )
    except (OSError, TimeoutError, ValueError) as error:
        raise UserError(
            f"there is no scheduler at {file.scheduler}, or it does not take us "
            f"({first_line(error)})", hint="start `dask scheduler` there (docs/fleet.md)",
        ) from error
    with client:
        yield Connection(client, file.scheduler)


def first_line(error: BaseException) -> str:
    """The innermost reason, which says most."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _await_workers(connection: Connection, wait: float, progress: Progress) -> dict[str, str]:
    """The hosts of the workers, once there is one."""
    end = time.monotonic() + wait
    while not connection.workers():
        progress.once(f"fleet: waiting for a worker of {connection.label}")
        if time.monotonic() > end:
            raise UserError(
                f"no worker of {connection.label} runs guests (waited {wait:.0f} s)",
                hint=f'start some with `dask worker ... --resources "{GUEST}=1"` (docs/fleet.md)',
            )
        time.sleep(0.2)
    found = connection.client.run(working.who, workers=list(connection.workers()))
    for address, one in found.items():
        if one["version"] != harness.__version__:
            raise UserError(
                f"the worker {address} has harness {one['version']}, this is "
                f"{harness.__version__}", hint="install the same on all",
            )
    hosts = {address: one["host"] for address, one in found.items()}
    progress.say(
        f"fleet: {plural(len(hosts), 'worker')} on {plural(len(set(hosts.values())), 'host')} at "
        f"{connection.label}"
    )
    return hosts
