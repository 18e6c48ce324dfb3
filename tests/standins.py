"""Stand-ins for what the letter's base comes from: a git server and a mail archive, on 127.0.0.1.

Both are real where it counts: git's own ``git http-backend`` and ``git daemon`` answer real git,
and real b4 asks the archive as it asks lore.kernel.org. ``GitServer.faults`` makes the line bad.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Faults:
    """What is wrong with the line or the server; nothing at first."""

    answer_after: float = 0.0
    """Seconds before each answer begins."""
    bytes_per_second: int = 0
    """0: as fast as it goes."""
    cut_packs: set[int] = field(default_factory=set)
    """Numbers, from 0, of the packs that end after half of their bytes."""
    old_protocol: bool = False
    """Speaks version 0 only, which knows refs that it advertises and refuses other ids."""


@dataclass
class GitServer:
    """``git http-backend`` for the repositories below a folder."""

    folder: Path
    faults: Faults = field(default_factory=Faults)
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""
    packs: int = 0
    """How many packs were sent, whole or not."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def git_server(folder: Path) -> Iterator[GitServer]:
    """Serve the repositories below ``folder`` until the block ends."""
    served = GitServer(folder)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes) -> None:
            served.asked.append(f"{self.command} {self.path}")
            done = subprocess.run(
                ["git", "http-backend"], input=body, capture_output=True, check=False,
                env=_environment(self, folder, served.faults.old_protocol),
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            time.sleep(served.faults.answer_after)
            self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if b"PACK" in content:
                if served.packs in served.faults.cut_packs:
                    content = content[: len(content) // 2]
                    self.close_connection = True
                served.packs += 1
            with contextlib.suppress(OSError):  # the client may have given up
                _send(self, content, served.faults.bytes_per_second)

    with _http(Handler) as served.port:
        yield served


def _environment(
    request: BaseHTTPRequestHandler, folder: Path, old_protocol: bool
) -> dict[str, str]:
    """What a web server tells a CGI program."""
    parts = urllib.parse.urlsplit(request.path)
    version = "" if old_protocol else request.headers.get("Git-Protocol", "")
    return {
        "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder), "REQUEST_METHOD": request.command,
        "PATH_INFO": urllib.parse.unquote(parts.path), "QUERY_STRING": parts.query,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""), "GIT_PROTOCOL": version,
        "CONTENT_LENGTH": request.headers.get("Content-Length", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "REMOTE_ADDR": "127.0.0.1",
    }


def _send(request: BaseHTTPRequestHandler, content: bytes, bytes_per_second: int) -> None:
    if not bytes_per_second:
        request.wfile.write(content)
        return
    step = max(1, bytes_per_second // 10)
    for at in range(0, len(content), step):
        request.wfile.write(content[at:at + step])
        request.wfile.flush()
        time.sleep(0.1)


@contextlib.contextmanager
def git_daemon(folder: Path) -> Iterator[str]:
    """``git daemon`` for the repositories below ``folder``; its URL, git://127.0.0.1:..."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--reuseaddr",
         f"--base-path={folder}", str(folder)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)}, start_new_session=True,
    )
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


@dataclass
class Archive:
    """A public-inbox such as lore's: threads by message-id."""

    threads: dict[str, bytes] = field(default_factory=dict)
    """Message-id of any mail -> the thread's mbox."""
    asked: list[str] = field(default_factory=list)
    broken: bool = False
    """Answers 503 to whatever is asked."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def holds(self, mailbox: Path, *message_ids: str) -> None:
        """Answer for these message-ids with the thread in ``mailbox``."""
        self.threads |= dict.fromkeys(message_ids, mailbox.read_bytes())


@contextlib.contextmanager
def mail_archive() -> Iterator[Archive]:
    """An archive that answers /all/ and /all/MESSAGE-ID/t.mbox.gz until the block ends."""
    archive = Archive()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *words: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer()

        def _answer(self) -> None:
            archive.asked.append(f"{self.command} {self.path}")
            words = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")
            content, code = b"", 404
            if archive.broken:
                code = 503
            elif words == "all":
                code = 200
            elif words.endswith("/t.mbox.gz") and words.split("/")[1] in archive.threads:
                content, code = gzip.compress(archive.threads[words.split("/")[1]]), 200
            self.send_response(code)
            self.send_header("Content-Type", "application/gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    with _http(Handler) as archive.port:
        yield archive


@contextlib.contextmanager
def _http(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
