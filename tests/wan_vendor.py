"""The API of Wan's vendor on loopback, as its documentation describes it, with errors and slowness."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from PIL import Image

KEY = "sk-the-operators-own-key"


class Vendor:
    """One server. Tests set what it answers; it remembers what it was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.size = (1024, 1024)
        self.hangs_up = False
        self.pending = 1  # looks at a task before it has ended
        self.submit_answers: list[web.Response] = []  # before the usual one
        self.task_answers: list[web.Response] = []
        self.end: dict[str, Any] = {"task_status": "SUCCEEDED"}
        self.picture_status = 200
        self.picture: bytes | None = None
        self.picture_host = ""
        self.tasks: list[dict[str, Any]] = []
        self.looks: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.copies = 0
        self.called_off: list[str] = []

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/api/v1/services/aigc/image-generation/generation", self._submit)
        app.router.add_get("/api/v1/tasks/{task}", self._task)
        app.router.add_post("/api/v1/tasks/{task}/cancel", self._call_off)
        app.router.add_get("/result.png", self._picture)

    async def _submit(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return refusal(401, "InvalidApiKey", "Invalid API-key provided.")
        if request.headers["X-DashScope-Async"] != "enable":
            return refusal(403, "AccessDenied", "current user api does not support synchronous calls.")
        body = await request.json()
        if self.submit_answers:
            return self.submit_answers.pop(0)
        self.tasks.append(body)
        if self.hangs_up:
            assert request.transport is not None
            request.transport.close()
        output = {"task_id": f"task-{len(self.tasks)}", "task_status": "PENDING"}
        return web.json_response({"output": output, "request_id": "r"})

    async def _task(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        task = request.match_info["task"]
        self.looks.append(task)
        if self.task_answers:
            return self.task_answers.pop(0)
        if self.pending:
            self.pending -= 1
            return task_answer({"task_id": task, "task_status": "RUNNING"})
        output = {"task_id": task, "finished": True} | self.end
        if self.end["task_status"] == "SUCCEEDED":
            url = f"{self.picture_host or self.url}/result.png?Expires=1&Signature=a%2Fb%3D"
            content = [{"image": url, "type": "image"}]
            message = {"role": "assistant", "content": content}
            output["choices"] = [{"finish_reason": "stop", "message": message}]
        return task_answer(output)

    async def _call_off(self, request: web.Request) -> web.Response:
        """The vendor cancels what waits and refuses what runs."""
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        self.called_off.append(request.match_info["task"])
        if self.pending < 10**6:
            return refusal(400, "UnsupportedOperation")
        return web.json_response({"request_id": "r"})

    async def _picture(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        assert request.rel_url.raw_query_string == "Expires=1&Signature=a%2Fb%3D"
        self.copies += 1
        if self.picture_status != 200:
            return web.Response(status=self.picture_status, text="<Code>AccessDenied</Code>")
        data = io.BytesIO()
        Image.new("RGB", self.size, "purple").save(data, "PNG")
        return web.Response(body=self.picture or data.getvalue(), content_type="image/png")


def refusal(status: int, code: str, message: str = "https://10.0.0.1/secret said no") -> web.Response:
    """An error as the vendor words it."""
    return web.json_response({"code": code, "message": message, "request_id": "r"}, status=status)


def task_answer(output: Any) -> web.Response:
    """What the vendor says of a task."""
    return web.json_response({"request_id": "r", "output": output})


@asynccontextmanager
async def running_vendor() -> AsyncIterator[Vendor]:
    """The vendor on a free port."""
    vendor, app = Vendor(), web.Application(client_max_size=2**26)
    vendor.add_routes(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield vendor
    finally:
        await runner.cleanup()
