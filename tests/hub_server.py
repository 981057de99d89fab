"""A small server that speaks the hub's HTTP API, and a second one, at another port, that has the large files.

Repositories are folders of files; what the hub would keep in its large-file storage is redirected, as there.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = ".safetensors"


@dataclass
class Request:
    """What came in."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Repo:
    """One repository. Tests change its behaviour.

    token: who may read it; empty: everybody. gated: whether it says so, or hides. cuts: after how many bytes
    the connection breaks, by path, one entry used up by each answer. stalls: it hangs a while before it does.
    busy: how many requests are answered 429, and after how long they may come again. knows_ranges: whether an
    answer begins where it is asked to. known_tokens: the tokens that are anybody's; None: all are.
    """

    files: dict[str, bytes]
    commit: str = "c0ffee" + "0" * 34
    token: str = ""
    gated: bool = True
    admitted: bool = True
    corrupt: set[str] = field(default_factory=set)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    busy: int = 0
    busy_s: int = 0
    knows_ranges: bool = True
    known_tokens: set[str] | None = None
    stalls: bool = False


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class HubServer:
    """The hub: `repos` by name, and the `requests` that came."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[Request] = []
        self.large_requests: list[Request] = []
        self._servers = [
            ThreadingHTTPServer(("127.0.0.1", 0), self._handler(large)) for large in (False, True)
        ]
        for server in self._servers:
            server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def large_url(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    def add(self, name: str, folder: Path, **how) -> Repo:
        """Publish a folder."""
        files = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        self.repos[name] = Repo(files, **how)
        return self.repos[name]

    def start(self) -> None:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _handler(self, large: bool) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                came = Request(self.command, unquote(url.path), headers)
                (hub.large_requests if large else hub.requests).append(came)
                hub.answer(self, came, large)

            do_HEAD = do_GET

            def log_message(self, *_) -> None:
                pass

        return Handler

    def answer(self, to: BaseHTTPRequestHandler, came: Request, large: bool) -> None:
        parts = came.path.strip("/").split("/")
        is_listing = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if is_listing else parts[:2])
        repo = self.repos.get(name)
        if repo is None:
            known = "authorization" in came.headers
            return _refuse(to, 404 if known else 401, "RepoNotFound", "Repository not found")
        if repo.busy > 0:
            repo.busy -= 1
            return _refuse(to, 429, "", "Too many requests", **{"Retry-After": str(repo.busy_s)})
        if not large:
            sent = came.headers.get("authorization", "").removeprefix("Bearer ")
            if sent and repo.known_tokens is not None and sent not in repo.known_tokens:
                return _refuse(to, 401, "", "Invalid credentials in Authorization header")
            if repo.token and sent != repo.token:
                if not repo.gated:
                    return _refuse(to, 401, "RepoNotFound", "Repository not found")
                if not is_listing:
                    return _refuse(to, 401, "GatedRepo", "Access to this repository is restricted")
            if repo.token and not repo.admitted and not is_listing:
                return _refuse(to, 403, "GatedRepo", "You are not in the authorized list")
        if is_listing:
            revision = parts[5] if len(parts) > 5 else "main"
            if revision not in ("main", repo.commit):
                return _refuse(to, 404, "RevisionNotFound", "Revision not found")
            return _send(to, json.dumps(_listing(name, repo)).encode(), {"Content-Type": "application/json"})
        path = "/".join(parts[4:])
        if path not in repo.files:
            return _refuse(to, 404, "EntryNotFound", "Entry not found")
        if path.endswith(LARGE) and not large:
            to.send_response(302)
            to.send_header("Location", f"{self.large_url}{came.path}")
            to.send_header("X-Linked-Etag", hashlib.sha256(repo.files[path]).hexdigest())
            to.send_header("X-Linked-Size", str(len(repo.files[path])))
            to.send_header("X-Repo-Commit", repo.commit)
            to.send_header("Content-Length", "0")
            to.end_headers()
            return None
        return self._file(to, came, repo, path)

    def _file(self, to: BaseHTTPRequestHandler, came: Request, repo: Repo, path: str) -> None:
        content = repo.files[path]
        if path in repo.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        asked = came.headers.get("range", "") if repo.knows_ranges else ""
        begin = int((asked or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        rest = content[begin:]
        to.send_response(206 if begin else 200)
        to.send_header("Content-Length", str(len(rest)))
        to.send_header("ETag", f'"{git_hash(repo.files[path])}"')
        to.send_header("X-Repo-Commit", repo.commit)
        if begin:
            to.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        to.end_headers()
        if came.method == "HEAD":
            return
        cuts = repo.cuts.get(path)
        if cuts:
            to.wfile.write(rest[: cuts.pop(0)])
            to.wfile.flush()
            to.close_connection = True
            while repo.stalls:
                time.sleep(0.02)
            return
        to.wfile.write(rest)


def _listing(name: str, repo: Repo) -> dict:
    siblings = []
    for path, content in repo.files.items():
        entry = {"rfilename": path, "size": len(content), "blobId": git_hash(content)}
        if path.endswith(LARGE):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"sha256": sha256, "size": len(content), "pointerSize": 134}
        siblings.append(entry)
    return {"id": name, "modelId": name, "sha": repo.commit, "private": False, "siblings": siblings}


def _refuse(to: BaseHTTPRequestHandler, status: int, code: str, message: str, **headers: str) -> None:
    named = {"X-Error-Code": code, "X-Error-Message": message, **headers}
    _send(to, b"", {name: value for name, value in named.items() if value}, status)


def _send(to: BaseHTTPRequestHandler, body: bytes, headers: dict[str, str], status: int = 200) -> None:
    to.send_response(status)
    for name, value in headers.items():
        to.send_header(name, value)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


@contextmanager
def hub_server() -> Iterator[HubServer]:
    """Run a hub until the block ends."""
    server = HubServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
