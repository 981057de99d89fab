"""The API process: light, and quick to answer."""

from __future__ import annotations

import json
import subprocess
import sys

START = """
import json, sys, time
import asyncio, urllib.request
from pathlib import Path
import uvicorn
from safelight.api.server import server_config
from safelight.api.services import open_services
from safelight.settings import Settings
from safelight.web.site import create_site

class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/readyz"
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
        heavy = sorted({"torch", "diffusers", "transformers", "cv2", "peft"} & set(sys.modules))
        print(json.dumps([time.process_time(), json.loads(answer), heavy]))
        self.should_exit = True

async def main():
    async with open_services(Settings(data_dir=Path(sys.argv[1]))) as services:
        await Server(server_config(create_site(services), "127.0.0.1", 0)).serve()

asyncio.run(main())
"""


def test_it_is_ready_after_two_seconds_of_work_at_most_and_never_imports_torch(tmp_path):
    """Of its processor's time: how long that takes on the wall is `benchmarks.start`'s to say."""
    command = [sys.executable, "-c", START, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    seconds, answer, heavy = json.loads(done.stdout)
    assert answer == {"status": "ready"}
    assert heavy == []
    assert seconds < 2
