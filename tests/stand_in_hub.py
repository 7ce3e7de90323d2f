"""A stand-in for the Hugging Face hub on this machine: the endpoints that an upload and from_pretrained use, in memory.

Every file is taken as a regular one (the real hub asks for large files through LFS or Xet).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Branches = dict[str, dict[str, bytes]]


class Hub(ThreadingHTTPServer):
    """Repositories by name: branch -> path -> content."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Branches] = {}
        self.asked: list[str] = []
        """Method and path of each request."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def stand_in_hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"POST {self.path}")
        _, _, *words = self.path.split("?")[0].split("/")
        if words == ["repos", "create"]:
            content = json.loads(sent)
            name = "/".join(filter(None, (content.get("organization"), content["name"])))
            self.server.repositories.setdefault(name, {"main": {}})
            self._answer({"url": f"{self.server.address}/{name}", "name": name})
            return
        if words[0] != "models":
            self._answer({}, 200)
            return
        branches, what, branch = self.server.repositories["/".join(words[1:3])], words[3], words[4]
        if what == "branch":
            branches.setdefault(branch, dict(branches["main"]))
            self._answer({})
        elif what == "preupload":
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(sent)["files"]
            ]
            self._answer({"files": files})
        else:
            rows = [json.loads(line) for line in sent.splitlines()]
            for row in (row["value"] for row in rows if row["key"] == "file"):
                branches[branch][row["path"]] = base64.b64decode(row["content"])
            repo = f"{self.server.address}/{'/'.join(words[1:3])}"
            self._answer({"commitUrl": f"{repo}/commit/{'0' * 40}", "commitOid": "0" * 40, "pullRequestUrl": None})

    def do_GET(self) -> None:
        self._send_file(with_body=True)

    def do_HEAD(self) -> None:
        self._send_file(with_body=False)

    def _send_file(self, *, with_body: bool) -> None:
        """OWNER/NAME/resolve/BRANCH/PATH."""
        self.server.asked.append(f"{self.command} {self.path}")
        words = self.path.split("?")[0].strip("/").split("/")
        branches = self.server.repositories.get("/".join(words[:2]), {})
        content = branches.get(words[3], {}).get("/".join(words[4:])) if words[2:3] == ["resolve"] else None
        if content is None:
            self._answer({}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        digest = hashlib.sha256(content).hexdigest()
        commit = hashlib.sha1(words[3].encode()).hexdigest()
        self._write(content if with_body else b"", len(content), 200, {"ETag": f'"{digest}"', "X-Repo-Commit": commit})

    def _answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self._write(body if self.command != "HEAD" else b"", len(body), status, headers or {})

    def _write(self, body: bytes, size: int, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(size), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
