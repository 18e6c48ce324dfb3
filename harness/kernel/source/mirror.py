"""Which Debian mirror to ask: a flag, harness.toml, or what the system's apt is configured with."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from harness.core.errors import UserError

FIELDS = ("ORIGIN", "LABEL", "SITE", "RELEASE", "CODENAME", "COMPONENT")

SYSTEM = "the system's apt configuration"


@dataclass(frozen=True)
class Mirror:
    """A Debian mirror and who named it."""

    url: str
    origin: str


@dataclass(frozen=True)
class _Target:
    origin: str
    label: str
    site: str
    release: str
    codename: str
    component: str


def resolve_mirror(config_mirror: str, flag: str | None) -> Mirror:
    """The mirror to use: flag, harness.toml, the system's apt configuration.

    Raises :class:`UserError` when none of them names one.
    """
    if flag:
        return Mirror(flag.rstrip("/"), "--mirror")
    if config_mirror:
        return Mirror(config_mirror.rstrip("/"), "harness.toml")
    release = own_release()
    site = choose_site(_index_targets(), release) or choose_site(
        _index_targets("--no-release-info"), release
    )
    if site:
        return Mirror(site.rstrip("/"), SYSTEM)
    raise UserError(
        "the system's apt configuration names no Debian mirror",
        hint="name one with --mirror URL or `mirror` in harness.toml",
    )


def security_mirror(chosen: Mirror, config_security: str) -> str:
    """The mirror of the security archive that goes with ``chosen``; empty when none is known.

    One that is named by hand has no known companion: harness.toml may name it.
    """
    if config_security or chosen.origin != SYSTEM:
        return config_security.rstrip("/")
    for line in [*_index_targets(), *_index_targets("--no-release-info")]:
        fields = line.strip().split("|")
        if len(fields) == len(FIELDS):
            target = _Target(*fields)
            if target.component == "main" and target.site.rstrip("/").endswith("debian-security"):
                return target.site.rstrip("/")
    return ""


def own_release() -> str:
    """The code name of this computer's release; empty when it does not say."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        return ""


def choose_site(lines: Iterable[str], release: str) -> str:
    """The site of Debian's main archive in the lines of `apt-get indextargets`; empty if none.

    That of ``release`` is preferred; another one will do, because every mirror carries all.
    """
    targets = [
        _Target(*fields) for line in lines
        if len(fields := line.strip().split("|")) == len(FIELDS)
    ]
    main = [target for target in targets if target.component == "main" and _is_archive(target)]
    main.sort(key=lambda target: release not in (target.codename, target.release))
    return main[0].site if main else ""


def _is_archive(target: _Target) -> bool:
    """Whether a target is Debian's main archive, not security, backports or somebody else's."""
    if not target.origin.startswith("$("):
        return (target.origin, target.label) == ("Debian", "Debian")
    # No Release files have been downloaded yet (a fresh container): apt has left
    # the fields unexpanded, and only the shape of the entry tells.
    path = target.site.rstrip("/").rsplit("/", 1)[-1]
    return path == "debian" and "security" not in target.release


def _index_targets(*options: str) -> list[str]:
    """What apt knows about its sources; empty when apt cannot say."""
    wanted = "|".join(f"$({field})" for field in FIELDS)
    try:
        done = subprocess.run(
            ["apt-get", "indextargets", *options, "--format", wanted], capture_output=True,
            text=True, errors="replace", timeout=20, check=False, stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines()
