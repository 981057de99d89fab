"""LoRAs on their whole way: named in a job, fetched by the worker, applied by its child, told of."""

import asyncio
from datetime import UTC, datetime

import pytest
import torch
from diffusers import ZImageTransformer2DModel

from safelight.accounts.accounts import OWNER_ID
from safelight.engine.lora import linear_modules
from safelight.engine.parent import Child
from safelight.engine.protocol import Setup
from safelight.files.files import LocalFiles
from safelight.jobs import Job, JobStatus, new_id
from safelight.models import load_catalogue
from safelight.network.fetch import Fetcher
from safelight.worker.lora_cache import LoraCache
from safelight.worker.lora_library import LoraLibrary
from safelight.worker.running import Equipment
from safelight.worker.worker import Pace, Worker
from tests.lora_files import ab, pairs, save
from tests.sites import Site, answer
from tests.tiny_weights import save_tiny_weights
from tests.z_image import PROMPT, picture

UNION = "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union"

TINY = """
from safelight.models.base import Part, Weights
from safelight.models.z_image_controlnet import ZImageControlNet

class Tiny(ZImageControlNet):
    id = "test/tiny"
    weights = Weights(real={{}}, nano={{
        name: Part({root!r} + "/" + part.repo, part.folder)
        for name, part in ZImageControlNet.weights.nano.items()
        if name not in ZImageControlNet.weights.optional
    }})
"""


@pytest.fixture
def database_url(sqlite_url):
    return sqlite_url


@pytest.fixture
async def site(tmp_path):
    site = Site()
    await site.start()
    picture(64, 64).save(tmp_path / "control.png")
    site.answers["/control.png"] = answer((tmp_path / "control.png").read_bytes())
    yield site
    await site.stop()


@pytest.fixture
async def run(tmp_path, store, waker, site):
    """Have one worker run jobs with these LoRAs; returns the ended jobs."""
    weights, models = save_tiny_weights(tmp_path / "weights"), tmp_path / "models"
    models.mkdir()
    (models / "tiny.py").write_text(TINY.format(root=str(weights)))
    (tmp_path / "scratch").mkdir()
    fetcher = Fetcher(allow=[f"127.0.0.1:{site.port}"])
    cache = LoraCache(tmp_path / "loras", 10**9)
    files = LocalFiles(tmp_path / "files")
    equipment = Equipment(
        store=store,
        files=files,
        fetcher=fetcher,
        loras=LoraLibrary(cache, fetcher, hub_url=site.url("").rstrip("/")),
        catalogue=load_catalogue(models),
        child=Child(Setup("cpu", str(models))),
    )
    pace = Pace(heartbeat_s=0.2, poll_s=0.2)
    worker = Worker("worker", equipment, waker=waker, scratch=tmp_path / "scratch", pace=pace)

    async def run(*loras):
        ids = []
        for given in loras:
            body = {"prompt": PROMPT, "image_url": site.url("/control.png"), "loras": given}
            body |= {"image_size": "auto", "num_inference_steps": 2, "control_scale": 0.9, "control_end": 1}
            job = Job(new_id(), OWNER_ID, "test/tiny", body, JobStatus.IN_QUEUE, 0, datetime.now(UTC))
            await store.add(job)
            ids.append(job.id)
        stop = asyncio.Event()
        task = asyncio.create_task(worker.run(stop, stop))
        ended = []
        async with asyncio.timeout(180):
            for job_id in ids:
                while not (job := await store.get(job_id, OWNER_ID)).status.is_final:
                    await asyncio.sleep(0.05)
                ended.append(job)
        stop.set()
        await task
        return [
            (job, files.path(job.outputs[0].file_id).read_bytes() if job.outputs else b"") for job in ended
        ]

    run.transformer = weights / "z-image" / "transformer"
    return run


async def test_loras_go_their_whole_way(run, site, tmp_path):
    targets = linear_modules(ZImageTransformer2DModel.from_pretrained(run.transformer))
    lora = save(tmp_path / "x.safetensors", ab(pairs(targets), "diffusion_model.")).read_bytes()
    site.answers["/x.safetensors"] = answer(lora)
    wide = {"layers.0.attention.to_q.lora_A.weight": torch.zeros(4, 3840)}
    wide |= {"layers.0.attention.to_q.lora_B.weight": torch.zeros(3840, 4)}
    made_for = {"modelspec.architecture": "flux-1-dev/lora"}
    site.answers["/flux"] = answer(save(tmp_path / "f.safetensors", wide, made_for).read_bytes())
    url = site.url("/x.safetensors")
    plain, with_lora, example, foreign, again = await run(
        [],
        [{"path": url, "scale": 1}],
        [{"path": UNION, "scale": 1}],
        [{"path": site.url("/flux"), "scale": 1}],
        [],
    )
    assert with_lora[0].report.loras == (
        {
            "path": url,
            "kind": "lora",
            "scale": 1.0,
            "matched": len(targets),
            "expected": len(targets),
            "substituted": False,
        },
    )
    assert with_lora[1] != plain[1]
    (used,) = example[0].report.loras
    assert (used["path"], used["kind"], used["substituted"]) == (UNION, "controlnet", True)
    assert example[1] == plain[1]
    assert foreign[0].status is JobStatus.FAILED
    assert foreign[0].error.code == "lora_incompatible"
    assert "flux-1-dev" in foreign[0].error.message
    assert again[1] == plain[1]
