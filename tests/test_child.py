import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from safelight.engine.parent import Child, RunStopped
from safelight.engine.pixels import Pixels, Size, output_path, read_pixels
from safelight.engine.process import ChildDied, ChildNotStarted, Patience, RunFailed, child_environment
from safelight.engine.protocol import Generate, Setup
from safelight.errors import StorageFull
from safelight.jobs import Progress
from tests.processes import is_alive, is_zombie, may_leave_network, until_gone

MODELS = Path(__file__).parent / "models"
SETUP = Setup(device="cpu", models_dir=str(MODELS))
QUICK = Patience(start_s=60, load_s=20, step_s=1, stop_s=1)

EAGER = """
from pathlib import Path
from decimal import Decimal
from PIL import Image
from safelight.inputs import ModelInput
from safelight.models.base import Model, Part, Weights
from safelight.texts import NOTHING

class Eager(Model):
    id = "a/eager"
    display_name, description, categories, licence = "Eager", NOTHING, ("text-to-image",), "Apache-2.0"
    weights = Weights(real={}, nano={"unet": Part(str(Path(__file__).parent), "")})
    gpu_memory_gib = 0.0
    Input = ModelInput

    def load(self, context):
        with (Path(__file__).parent / "loaded").open("a") as file:
            file.write("once")

    def generate(self, pipeline, request, run):
        return [Image.new("RGB", (16, 16))]
"""


@pytest.fixture
async def child():
    child = Child(SETUP, QUICK)
    await child.start()
    yield child
    await child.kill()


def request(folder, model_id="test/instant", images=None, **values):
    return Generate("job", model_id, values, images or {}, str(folder))


async def run(child, folder, model_id="test/instant", images=None, **values):
    done, _ = await child.generate(request(folder, model_id, images, **values), lambda progress: None)
    return done


def status_of(pid):
    return Path(f"/proc/{pid}/status").read_text()


async def test_a_job_leaves_its_pixels_in_its_folder(child, tmp_path):
    seen = []
    done, load_s = await child.generate(request(tmp_path, seed=7), seen.append)
    assert read_pixels(output_path(tmp_path, 0), done.sizes[0]) == bytes([7, 0, 0]) * 256
    assert seen == [Progress(1, 1)]
    assert done.weights == "nano"
    assert 0 <= load_s < 5


async def echo(child, folder, size):
    image = Pixels(str(folder / "in.rgb"), size)
    return await run(
        child, folder, "test/echo", {"image_url": [image]}, image_url="https://example.com/in.png"
    )


async def test_a_model_sees_the_pixels_of_its_input(child, tmp_path):
    (tmp_path / "in.rgb").write_bytes(bytes([0, 0, 255]) * 15)
    done = await echo(child, tmp_path, Size(5, 3))
    assert done.sizes[0] == Size(5, 3)
    assert read_pixels(output_path(tmp_path, 0), done.sizes[0]) == bytes([0, 0, 255]) * 15


async def test_pixels_that_are_not_what_was_said_fail_the_job(child, tmp_path):
    (tmp_path / "in.rgb").write_bytes(bytes(44))
    with pytest.raises(RunFailed) as caught:
        await echo(child, tmp_path, Size(5, 3))
    assert caught.value.code == "internal_error"


async def test_a_full_disk_is_no_fault_of_the_job(child, tmp_path):
    with pytest.raises(StorageFull):
        await run(child, tmp_path, "test/fills-disk")
    assert await run(child, tmp_path)


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("test/raises", "internal_error"),
        ("test/cannot-load", "internal_error"),
        ("test/returns-nothing", "internal_error"),
        ("test/returns-numbers", "internal_error"),
        ("test/returns-wrong-size", "internal_error"),
        ("test/runs-out-of-memory", "out_of_memory"),
        ("test/unknown", "internal_error"),
    ],
)
async def test_an_error_of_a_model_fails_its_job_and_no_other(child, tmp_path, model, code):
    pid = child.pid
    with pytest.raises(RunFailed) as caught:
        await run(child, tmp_path, model)
    assert caught.value.code == code
    assert "secret" not in caught.value.text.en + caught.value.text.ko
    assert await run(child, tmp_path)
    assert child.pid == pid


@pytest.mark.parametrize(
    "model",
    ["test/kills-itself", "test/exits", "test/breaks-device", "test/hangs", "test/hangs-in-c"],
)
async def test_a_child_that_dies_or_hangs_is_replaced(child, tmp_path, model):
    first = child.pid
    with pytest.raises(ChildDied):
        await run(child, tmp_path, model)
    assert child.pid is None
    assert not is_alive(first)
    assert not is_zombie(first)
    await child.start()
    assert child.pid != first
    assert await run(child, tmp_path)


async def test_a_child_that_died_before_it_was_asked_is_replaced_at_once(child, tmp_path):
    first = child.pid
    os.kill(first, signal.SIGKILL)
    # Nobody has told the parent yet.
    assert child.pid == first
    assert await run(child, tmp_path)
    assert child.pid != first


async def test_loading_has_more_patience_than_a_step(tmp_path):
    child = Child(SETUP, Patience(load_s=20, step_s=0.3, stop_s=1))
    await child.start()
    try:
        with pytest.raises(ChildDied):
            await run(child, tmp_path, "test/hangs")
        await child.start()
        # Four steps of a tenth each: every one is a sign of life.
        assert await run(child, tmp_path, "test/slow", num_inference_steps=5)
    finally:
        await child.kill()


async def test_what_a_model_prints_does_not_reach_the_protocol(child, tmp_path):
    assert await run(child, tmp_path, "test/prints")
    assert await run(child, tmp_path)


async def test_a_job_stops_at_its_next_step(child, tmp_path):
    pid = child.pid
    first_step = asyncio.Event()
    task = asyncio.create_task(
        child.generate(request(tmp_path, "test/slow", num_inference_steps=500), lambda _: first_step.set())
    )
    await first_step.wait()
    await child.stop("another job")
    await child.stop("job")
    with pytest.raises(RunStopped):
        await task
    assert child.pid == pid
    assert await run(child, tmp_path, "test/slow", num_inference_steps=1)


@pytest.mark.parametrize("model", ["test/hangs", "test/ignores-stop"])
async def test_a_job_that_does_not_stop_is_killed(tmp_path, model):
    child = Child(SETUP, Patience(step_s=60, stop_s=0.5))
    await child.start()
    first_step = asyncio.Event()
    task = asyncio.create_task(child.generate(request(tmp_path, model), lambda _: first_step.set()))
    await first_step.wait()
    await child.stop("job")
    async with asyncio.timeout(30):  # well before `step_s`
        with pytest.raises(ChildDied):
            await task
    assert child.pid is None
    await asyncio.sleep(0.6)
    await child.start()
    assert await run(child, tmp_path)
    await child.kill()


async def test_the_child_gets_no_credentials(child, tmp_path, monkeypatch):
    await child.kill()
    monkeypatch.setenv("SAFELIGHT_API_KEY", "k" * 40)
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    await child.start()
    names = (await run(child, tmp_path, "test/tells")).notes[0].split()
    assert "PATH" in names
    assert not {"SAFELIGHT_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "HOME"} & set(names)


def test_only_known_variables_are_handed_on():
    assert child_environment(
        {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1", "NVIDIA_API_KEY": "x"}
    ) == {
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }


async def test_the_child_reaches_nothing_on_loopback(child, tmp_path):
    if not may_leave_network():
        pytest.skip("this kernel does not let a process leave its network")
    assert child.confined
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        done = await run(child, tmp_path, "test/tells", prompt=str(port))
    assert done.notes[-1] == "unreachable"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_child_as_root_has_no_privileges(child):
    if not may_leave_network():
        pytest.skip("this kernel does not let a process leave its network")
    assert child.confined
    status = status_of(child.pid)
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


async def test_a_model_that_needs_no_torch_does_not_import_it(child, tmp_path):
    assert (await run(child, tmp_path, "test/tells")).notes[1] == "torch: False"


async def test_a_killed_child_takes_its_processes_along(child, tmp_path):
    with pytest.raises(ChildDied):
        await run(child, tmp_path, "test/leaves-process", prompt=str(tmp_path / "pid"))
    await until_gone([int((tmp_path / "pid").read_text())])


@pytest.mark.parametrize("model", ["test/leaves-process", "test/hangs-in-c"])
async def test_a_child_ends_when_its_parent_is_killed(tmp_path, model):
    script = (
        "import asyncio, sys\n"
        "from safelight.engine.parent import Child\n"
        "from safelight.engine.protocol import Generate, Setup\n"
        "async def main():\n"
        f"    child = Child(Setup('cpu', {str(MODELS)!r}))\n"
        "    await child.start()\n"
        f"    asked = {{'prompt': {str(tmp_path / 'pid')!r}}}\n"
        f"    job = Generate('job', {model!r}, asked, {{}}, {str(tmp_path)!r})\n"
        "    await child.generate(job, lambda _: print(child.pid, flush=True))\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONWARNINGS": ""}
    )
    pids = []
    try:
        while not (line := await parent.stdout.readline()).strip().isdigit():
            assert line, "the parent ended early"
        pids = [int(line)]
        with contextlib.suppress(FileNotFoundError):
            pids.append(int((tmp_path / "pid").read_text()))
    finally:
        parent.kill()
        await parent.wait()
    await until_gone(pids)


async def test_a_cancelled_job_ends_its_child(child, tmp_path):
    pid = child.pid
    task = asyncio.create_task(run(child, tmp_path, "test/hangs"))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_alive(pid)


async def test_a_child_that_cannot_start_says_so(tmp_path):
    (tmp_path / "broken.py").write_text("raise RuntimeError('no')")
    child = Child(Setup("cpu", str(tmp_path)), QUICK)
    with pytest.raises(ChildNotStarted):
        await child.start()
    assert child.pid is None


async def test_a_child_is_ready_soon():
    started = time.monotonic()
    child = Child(SETUP, QUICK)
    await child.start()
    await child.kill()
    assert time.monotonic() - started < 10


async def test_an_idle_child_loads_a_model_before_it_is_asked(tmp_path):
    (tmp_path / "eager.py").write_text(EAGER)
    child = Child(Setup("cpu", str(tmp_path)), QUICK)
    await child.start()
    try:
        async with asyncio.timeout(20):
            while not (tmp_path / "loaded").exists():
                await asyncio.sleep(0.05)
        assert await run(child, tmp_path, "a/eager")
    finally:
        await child.kill()
    assert (tmp_path / "loaded").read_text() == "once"
