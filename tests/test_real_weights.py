"""Real weights from the hub to a picture: tiny repositories in the real layout, pulled and drawn with."""

import gc
import hashlib
import weakref
from threading import Event

import pytest
import safetensors.torch
import torch
from diffusers import OvisImagePipeline, OvisImageTransformer2DModel, ZImageTransformer2DModel
from transformers import Qwen3ForCausalLM, Qwen3Model

from safelight.engine.expansion import expand_prompt
from safelight.engine.lora import linear_modules
from safelight.engine.parent import Child
from safelight.engine.parking import ParkingLot
from safelight.engine.process import RunFailed
from safelight.engine.protocol import Generate, RealWeights, Setup
from safelight.engine.residency import RealModels, Residency
from safelight.engine.sources import Pulled
from safelight.engine.streaming import Streamed, at_hand, streamed
from safelight.engine.weights import Loader
from safelight.loras.references import LoraFile
from safelight.models.base import Part
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting
from safelight.settings import Precision
from safelight.weights.disk import WeightsDisk
from safelight.weights.listing import Hub
from safelight.weights.lock import write_lock
from safelight.weights.memory_plan import WORKING_BYTES, leaner, least_bytes
from safelight.weights.pull import Pull
from tests.hub_server import hub_server
from tests.lora_files import ab, pairs, save
from tests.real_standins import OVIS, Z_IMAGE, save_real_standins
from tests.test_hub_pull import Seen
from tests.z_image import picture, run_with, same

MODELS = {model.id: model for model in (ZImageControlNet, ZImageInpainting, OvisImage, WanImageToImage)}


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """All real weights, pulled."""
    root = tmp_path_factory.mktemp("hub")
    with hub_server() as hub:
        for name, folder in save_real_standins(root / "repos").items():
            hub.add(name, folder)
        parts = [part for model in MODELS.values() for part in model.weights.real.values()]
        pulled = Pull(Hub(hub.url, ""), WeightsDisk(root / "weights"), Seen(), Event()).run(parts)
    write_lock(root / "weights.lock", pulled.lock)
    return pulled


def residency_of(disk, budget_bytes=None, precision=Precision.BF16):
    return Residency("cpu", budget_bytes, real=RealModels(frozenset(MODELS), disk, precision))


@pytest.fixture(scope="module")
def kept(disk):
    """All models in one process, nothing streamed."""
    return residency_of(disk)


def draw(residency, model, notes=None, loras=(), **fields):
    kind = MODELS[model.id]
    body = {"prompt": "a red ball", "seed": 3, "num_inference_steps": 2} | fields
    images = {
        "image_url": picture(64, 64),
        "mask_image_url": picture(64, 64),
        "image_urls": picture(400, 400),
    }
    given = {name: image for name, image in images.items() if name in kind.Input.model_fields}
    body |= {name: ["file:x"] if name == "image_urls" else "file:x" for name in given}
    if "loras" in kind.Input.model_fields:
        body["loras"] = []
    known = {name: value for name, value in body.items() if name in kind.Input.model_fields}
    context, pipeline = residency.pipeline(model)
    run = run_with(context, given, notes=notes, loras=loras, seed=3)
    return model.generate(pipeline, kind.Input.parse(known), run)[0]


SMALL = {
    ZImageControlNet: {"image_size": "auto"},
    ZImageInpainting: {"image_size": "auto"},
    OvisImage: {"image_size": "square"},
    WanImageToImage: {"image_size": "1344*576 (21:9)", "prompt_extend": False},
}


def plain(kept, kind):
    """The picture that a model draws with everything in place; drawn once."""
    if kind not in DRAWN:
        DRAWN[kind] = draw(kept, kind(), **SMALL[kind])
    return DRAWN[kind]


DRAWN = {}


# --- Loading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SMALL)
def test_each_model_draws_with_what_was_pulled(kept, kind):
    drawn = plain(kept, kind)
    assert len(drawn.resize((32, 32)).getcolors(1024)) > 20
    context, pipeline = kept.pipeline(kind())
    assert context.weights_name == "real"
    assert type(pipeline.vae).__name__ == (
        "AutoencoderKLFlux2" if kind is WanImageToImage else "AutoencoderKL"
    )


def test_it_equals_diffusers_own_pipeline_on_the_same_folder(kept, disk):
    ours = draw(kept, OvisImage(), image_size="square", guidance_scale=1)
    snapshot = disk.snapshot(OVIS, disk.lock.repos[OVIS].commit)
    stock = OvisImagePipeline(
        **{
            name: part
            for name, part in kept.pipeline(OvisImage())[1].components.items()
            if name not in ("transformer", "vae")
        },
        transformer=kept.pipeline(OvisImage())[1].transformer.from_pretrained(snapshot / "transformer"),
        vae=kept.pipeline(OvisImage())[1].vae.from_pretrained(snapshot / "vae"),
    )
    stock.user_prompt_begin_id = kept.pipeline(OvisImage())[1].user_prompt_begin_id
    stock.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(3)
    theirs = stock(
        "a red ball", width=512, height=512, num_inference_steps=2, guidance_scale=1, generator=generator
    ).images[0]
    assert same(ours, theirs)


def test_a_text_encoder_that_two_repositories_hold_is_loaded_once(kept, disk):
    one = kept.pipeline(ZImageControlNet())[1].text_encoder
    two = kept.pipeline(WanImageToImage())[1].text_encoder
    assert two.model is one
    names = [part.repo for part in (OvisImage.weights.real["vae"], ZImageControlNet.weights.real["vae"])]
    assert len(set(names)) == 2
    assert kept.pipeline(OvisImage())[1].vae is kept.pipeline(ZImageControlNet())[1].vae


def test_klein_is_distilled_as_its_repository_says(kept):
    assert kept.pipeline(WanImageToImage())[1].config.is_distilled


def test_a_language_models_checkpoint_loads_as_the_encoder_in_it(tmp_path, kept):
    encoder = kept.pipeline(ZImageControlNet())[1].text_encoder
    Qwen3ForCausalLM(encoder.config).save_pretrained(tmp_path)
    saved = Qwen3ForCausalLM.from_pretrained(tmp_path).model.state_dict()
    loaded = Qwen3Model.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())


def test_a_transformer_in_its_authors_names_loads(tmp_path, disk):
    folder = disk.path(Part(Z_IMAGE, "transformer"))
    ours = ZImageTransformer2DModel.from_pretrained(folder)
    tensors = ours.state_dict()
    theirs = {}
    for name, tensor in tensors.items():
        if ".attention.to_q." in name:
            rows = [tensors[name.replace("to_q", f"to_{which}")] for which in "qkv"]
            theirs["model.diffusion_model." + name.replace("to_q", "qkv")] = torch.cat(rows)
        elif ".attention.to_k." not in name and ".attention.to_v." not in name:
            for diffusers_name, own in (
                ("all_final_layer.2-1.", "final_layer."),
                ("all_x_embedder.2-1.", "x_embedder."),
                (".attention.to_out.0.", ".attention.out."),
                (".attention.norm_k.", ".attention.k_norm."),
                (".attention.norm_q.", ".attention.q_norm."),
            ):
                name = name.replace(diffusers_name, own)
            theirs["model.diffusion_model." + name] = tensor.clone()
    (tmp_path / "transformer").mkdir()
    safetensors.torch.save_file(theirs, tmp_path / "transformer" / "z_image.safetensors")
    (tmp_path / "transformer" / "config.json").write_text((folder / "config.json").read_text())
    loader = Loader({"transformer": Part("", "transformer")}, "cpu", {}, tmp_path)
    loaded = loader.part("transformer", ZImageTransformer2DModel).state_dict()
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name].float()) for name in tensors)


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
async def test_the_child_draws_with_them_and_says_so(disk, tmp_path, precision):
    real = RealWeights([OvisImage.id], str(disk.folder), str(disk.folder.parent / "weights.lock"), precision)
    child = Child(Setup("cpu", None, real=real))
    try:
        await child.start()
        settled = OvisImage.Input.parse(
            {"prompt": "x", "image_size": "square", "num_inference_steps": 1}
        ).settled()
        done, _ = await child.generate(
            Generate("job", OvisImage.id, settled, {}, str(tmp_path)), lambda _: None
        )
    finally:
        await child.kill()
    assert done.weights == "real"
    assert not [note for note in done.notes if "Nano" in note]
    assert [note for note in done.notes if "fp8" in note] == (
        ["The transformer was kept in fp8, which changes the picture a little."] if precision == "fp8" else []
    )


# --- Streaming ------------------------------------------------------------------------------------------


def tight(disk, kind, share, **how):
    """A residency with room for a part of what a model's blocks take up."""
    whole = residency_of(disk, **how)
    plan = whole._plan(kind(), whole._source(kind()))
    least = least_bytes([part.size for part in plan.parts])
    return residency_of(disk, WORKING_BYTES + least + int((plan.staying_bytes - least) * share), **how)


@pytest.mark.parametrize(
    ("kind", "share"),
    [(ZImageControlNet, 0.6), (ZImageInpainting, 0.2), (OvisImage, 0.2), (WanImageToImage, 0)],
)
def test_streamed_blocks_draw_the_same_picture(kept, disk, kind, share):
    small = tight(disk, kind, share)
    drawn = draw(small, kind(), **SMALL[kind])
    plan = small.pipeline(kind())[0].plan
    assert plan.streamed_bytes > 0
    assert same(drawn, plain(kept, kind))
    assert small.loaded_bytes <= plan.peak_bytes - plan.working_bytes


def test_what_is_streamed_is_away_while_it_rests(disk):
    small = tight(disk, ZImageControlNet, 0.2)
    _, pipeline = small.pipeline(ZImageControlNet())
    for name in ("text_encoder", "controlnet"):
        found = streamed(getattr(pipeline, name))
        assert found.staying_bytes == 0
    assert all(p.numel() == 0 for p in pipeline.controlnet.control_layers.parameters())
    assert pipeline._execution_device == torch.device("cpu")


def test_magic_prompt_has_the_encoder_at_hand_and_gives_the_room_back(kept, disk):
    told = []
    for residency in (kept, tight(disk, ZImageControlNet, 0)):
        context, pipeline = residency.pipeline(ZImageControlNet())
        run = run_with(context, {})
        told.append(expand_prompt(pipeline, run, "a red ball"))
    assert told[0] == told[1] != "a red ball"
    encoder = pipeline.text_encoder
    with at_hand(encoder, pipeline.transformer):
        assert all(p.numel() for p in encoder.parameters())
        assert not any(p.numel() for p in pipeline.transformer.layers.parameters())
    assert not any(p.numel() for p in encoder.layers.parameters())


def test_a_lora_changes_streamed_blocks_and_leaves_no_trace(kept, disk, tmp_path):
    small = tight(disk, ZImageControlNet, 0.2)
    _, pipeline = kept.pipeline(ZImageControlNet())
    layers = {name: size for name, size in linear_modules(pipeline.transformer).items() if "layers" in name}
    path = save(tmp_path / "x.safetensors", ab(pairs(layers)))
    lora = LoraFile("a/lora", "lora", 1.0, str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    whole = draw(kept, ZImageControlNet(), loras=[lora], **SMALL[ZImageControlNet])
    drawn = draw(small, ZImageControlNet(), loras=[lora], **SMALL[ZImageControlNet])
    assert same(drawn, whole)
    assert not same(drawn, plain(kept, ZImageControlNet))
    assert same(draw(small, ZImageControlNet(), **SMALL[ZImageControlNet]), plain(kept, ZImageControlNet))


def test_a_leaner_plan_takes_effect_on_what_is_loaded(kept, disk):
    small = tight(disk, OvisImage, 1.5)
    loader, pipeline = small.pipeline(OvisImage())
    assert loader.plan.streamed_bytes == 0
    before = small.loaded_bytes
    assert small.make_leaner(OvisImage())
    assert small.loaded_bytes < before
    assert small.pipeline(OvisImage())[1] is pipeline
    assert same(draw(small, OvisImage(), image_size="square"), plain(kept, OvisImage))
    while small.make_leaner(OvisImage()):
        pass
    assert leaner(small.pipeline(OvisImage())[0].plan) is None


def test_fp8_is_smaller_draws_nearly_the_same_and_takes_loras(kept, disk, tmp_path):
    half = residency_of(disk, precision=Precision.FP8)
    drawn = draw(half, ZImageControlNet(), **SMALL[ZImageControlNet])
    assert not same(drawn, plain(kept, ZImageControlNet))
    transformer = half.pipeline(ZImageControlNet())[1].transformer
    assert transformer.layers[0].feed_forward.w1.weight.dtype == torch.float8_e4m3fn
    small = tight(disk, ZImageControlNet, 0.2, precision=Precision.FP8)
    assert same(draw(small, ZImageControlNet(), **SMALL[ZImageControlNet]), drawn)


def test_a_parked_module_is_in_main_memory_and_comes_back_equal(disk):
    loader = Loader(OvisImage.weights.real, "cpu", {}, source=Pulled(disk))
    module = loader.part("transformer", OvisImageTransformer2DModel)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    lot = ParkingLot()
    lot.park(("key", type(module)), module)
    assert not any(p.numel() for p in module.transformer_blocks.parameters())
    back = lot.parked.pop(("key", type(module)))
    streamed(back).stay_whole()
    assert all(torch.equal(tensor, before[name]) for name, tensor in back.state_dict().items())


@pytest.mark.parametrize("spare_kib", [10**9, 0])
def test_what_leaves_a_gpu_waits_in_main_memory_where_there_is_room(
    kept, disk, monkeypatch, tmp_path, spare_kib
):
    drawn = plain(kept, ZImageControlNet)
    # Everything but the device itself as on a GPU.
    monkeypatch.setattr("safelight.engine.residency.choose_device", lambda wish: "cuda")
    monkeypatch.setattr("safelight.engine.parking._MEMINFO", tmp_path / "meminfo")
    (tmp_path / "meminfo").write_text(f"MemTotal: {10**9} kB\nMemAvailable: {spare_kib} kB\n")
    one = residency_of(disk, 2**40)
    before = one.pipeline(ZImageControlNet())[1]
    one.make_leaner(OvisImage())
    assert one.loaded_bytes == 0
    after = one.pipeline(ZImageControlNet())[1]
    assert (after.transformer is before.transformer) == bool(spare_kib)
    assert same(draw(one, ZImageControlNet(), **SMALL[ZImageControlNet]), drawn)


def test_a_streamed_module_goes_when_nobody_holds_it(disk):
    loader = Loader({"transformer": OvisImage.weights.real["transformer"]}, "cpu", {}, source=Pulled(disk))
    module = loader.part("transformer", OvisImageTransformer2DModel)
    Streamed(module, torch.device("cpu")).stay(0)
    gone = weakref.ref(module)
    loader._shelf.clear()
    loader._taken.clear()
    del module
    gc.collect()
    assert gone() is None


# --- A card that is too small after all -----------------------------------------------------------------

HUNGRY = """
import torch
from safelight.models.ovis_image import OvisImage

class Hungry(OvisImage):
    id = "test/hungry"
    limit = {limit}

    def load(self, context):
        if context.plan.staying_bytes > {load_limit}:
            raise RuntimeError("CUDA error: out of memory")
        return super().load(context)

    def generate(self, pipeline, request, run):
        parts = pipeline.text_encoder, pipeline.transformer
        held = sum(p.numel() for part in parts for p in part.parameters())
        if held > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().generate(pipeline, request, run)
"""


@pytest.fixture
async def hungry(disk, tmp_path):
    """A child whose device holds so many numbers of a model while it draws, and no more."""
    children = []

    async def start(limit, load_limit=10**12):
        models = tmp_path / "models"
        models.mkdir()
        (models / "hungry.py").write_text(HUNGRY.format(limit=limit, load_limit=load_limit))
        real = RealWeights(
            ["test/hungry"], str(disk.folder), str(disk.folder.parent / "weights.lock"), "bf16"
        )
        child = Child(Setup("cpu", str(models), memory_bytes=WORKING_BYTES + 10**7, real=real))
        children.append(child)
        await child.start()
        return child

    yield start
    for child in children:
        await child.kill()


async def ask(child, folder, image_size="square"):
    asked = {"prompt": "x", "image_size": image_size, "num_inference_steps": 1}
    settled = OvisImage.Input.parse(asked).settled()
    return (await child.generate(Generate("job", "test/hungry", settled, {}, str(folder)), lambda _: None))[0]


async def test_a_device_that_runs_out_of_memory_draws_with_less_of_the_model_on_it(hungry, tmp_path):
    child = await hungry(limit=120_000)
    pid = child.pid
    done = await ask(child, tmp_path)
    assert done.notes[-1].startswith("The device ran out of memory at first")
    again = await ask(child, tmp_path)
    assert not [note for note in again.notes if "at first" in note]
    assert child.pid == pid


async def test_a_device_that_is_too_small_to_load_a_model_gets_less_of_it(hungry, tmp_path):
    child = await hungry(limit=10**12, load_limit=2_000_000)
    done = await ask(child, tmp_path)
    assert done.notes[-1].startswith("The device ran out of memory at first")


async def test_when_that_does_not_help_it_names_the_size_that_would_fit(hungry, tmp_path):
    child = await hungry(limit=0)
    with pytest.raises(RunFailed) as caught:
        await ask(child, tmp_path, "square_hd")
    assert caught.value.code == "out_of_memory"
    assert caught.value.text.en == "The device ran out of memory at 1024×1024 pixels; 768×1024 would fit."
    with pytest.raises(RunFailed) as caught:
        await ask(child, tmp_path, "square")
    assert caught.value.text.en.endswith("and no smaller size would fit beside this model's weights.")
