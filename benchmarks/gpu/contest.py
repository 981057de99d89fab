"""One model, drawn by diffusers as it is, by diffusers compiled, and by ours, over the same weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import diffusers
import torch
from diffusers import (
    Flux2KleinPipeline,
    OvisImagePipeline,
    ZImageControlNetInpaintPipeline,
    ZImageControlNetModel,
    ZImageControlNetPipeline,
    ZImageTransformer2DModel,
)
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from PIL import Image, ImageDraw

from benchmarks.gpu.parts import RandomParts, makers
from safelight.engine import klein
from safelight.engine.compiling import _compiled, compile_blocks
from safelight.engine.language_model import as_language_model
from safelight.engine.ovis import fit_to_tokenizer
from safelight.models.base import Model, Run
from safelight.models.ovis_image import OvisImage
from safelight.models.wan_image_to_image import WanImageToImage
from safelight.models.z_image_controlnet import ZImageControlNet
from safelight.models.z_image_inpainting import ZImageInpainting

WORDS = "a red house on green grass under a blue sky "


@dataclass(frozen=True)
class Job:
    """What is drawn. values: the request's own. size: of the picture; reference: of each given to klein."""

    model: type[Model]
    family: str
    pipeline: Any
    values: Mapping[str, Any]
    size: tuple[int, int]
    steps: int
    reference: tuple[int, int] = (1024, 1024)

    @property
    def given_size(self) -> tuple[int, int]:
        """The size of the pictures that are given."""
        return self.reference if self.family == "klein" else self.size

    def tiny(self) -> Job:
        """The same on a tiny model, with two steps."""
        values = dict(self.values) | {"num_inference_steps": 2}
        size = self.size
        if self.family == "z-image":
            values |= {"image_size": "auto"}
            size = (64, 64)
        elif self.family == "ovis":
            values |= {"image_size": "square"}
            size = (512, 512)
        else:
            values |= {"image_size": "1344*576 (21:9)"}
            size = (1344, 576)
        return Job(self.model, self.family, self.pipeline, values, size, 2, reference=(128, 128))


_CONTROLLED = {
    "loras": [],
    "image_url": "file:x",
    "image_size": "square_hd",
    "control_start": 0,
    "control_end": 1,
}
JOBS = {
    "z-image-controlnet": Job(
        ZImageControlNet,
        "z-image",
        ZImageControlNetPipeline,
        _CONTROLLED | {"num_inference_steps": 8, "control_scale": 0.9},
        (1024, 1024),
        8,
    ),
    "z-image-inpainting": Job(
        ZImageInpainting,
        "z-image",
        ZImageControlNetInpaintPipeline,
        _CONTROLLED | {"num_inference_steps": 20, "control_scale": 0.75, "mask_image_url": "file:x"},
        (1024, 1024),
        20,
    ),
    "ovis": Job(
        OvisImage,
        "ovis",
        OvisImagePipeline,
        {"image_size": "landscape_4_3", "num_inference_steps": 28, "guidance_scale": 5},
        (1024, 768),
        28,
    ),
    "klein": Job(
        WanImageToImage,
        "klein",
        Flux2KleinPipeline,
        {"image_size": "1024*1024 (1:1)", "image_urls": ["file:x", "file:x"]},
        (1024, 1024),
        4,
    ),
}
"""By the name on the command line, as docs/benchmarks.md lists them with their floors."""


@dataclass
class Contest:
    """The contestants over one set of weights. draw: by name, from a prompt to a picture."""

    job: Job
    parts: RandomParts
    backend: str
    draw: dict[str, Callable[[str], Image.Image]] = field(default_factory=dict)
    _number: int = 0

    @classmethod
    def of(cls, name: str, device: torch.device, *, tiny: bool) -> Contest:
        """Make the weights. On a GPU they are bf16; tiny ones go without the compiler's own backend."""
        job = JOBS[name].tiny() if tiny else JOBS[name]
        dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        parts = RandomParts(makers(job.family, tiny=tiny), device, dtype)
        return cls(job, parts, "aot_eager" if tiny else "inductor")

    def enter(self) -> None:
        """Set up every contestant. Nothing is compiled before its first picture."""
        ours = self._ours()
        self.draw["diffusers"] = partial(self._stock, self._plain())
        compiled = self._plain()
        compiled.transformer.compile_repeated_blocks(backend=self.backend, fullgraph=True)
        if hasattr(compiled, "controlnet"):
            # It names no repeated blocks; and its growing stacks ask for more graphs than one whole may have.
            control = compiled.controlnet
            for block in (*control.control_layers, *(control.control_noise_refiner or ())):
                block.compile(backend=self.backend)
        self.draw["diffusers, compiled"] = partial(self._stock, compiled)
        self.draw["ours, not compiled"] = partial(self._drawn, ours)
        quick = self._ours(fresh=True)
        for network in (quick.transformer, getattr(quick, "controlnet", None)):
            if network is not None:
                compile_blocks(network, self.backend)
        self.draw["ours"] = partial(self._drawn, quick)

    def with_attention(self, backend: str) -> None:
        """Let ours draw with another attention too. Raises where diffusers or the card cannot."""
        pipeline = self._ours(fresh=True)
        # Graphs of its own: where this attention cannot be compiled, the others' still are.
        _compiled.cache_clear()
        for network in (pipeline.transformer, getattr(pipeline, "controlnet", None)):
            if network is not None:
                network.set_attention_backend(backend)
                compile_blocks(network, self.backend)
        _compiled.cache_clear()
        # It also set what networks do that name none.
        _AttentionBackendRegistry.set_active_backend(AttentionBackendName.NATIVE)
        self.draw[f"ours, {backend}"] = partial(self._drawn, pipeline)

    def with_fast_autoencoder(self) -> None:
        """Let ours draw with an autoencoder that is compiled, its channels last, too."""
        pipeline = self._ours(fresh=True)
        for network in (pipeline.transformer, getattr(pipeline, "controlnet", None)):
            if network is not None:
                compile_blocks(network, self.backend)
        vae = _twin(pipeline.vae, type(pipeline.vae)).to(memory_format=torch.channels_last)
        vae.decoder.compile(backend=self.backend)
        pipeline.register_modules(vae=vae)
        self.draw["ours, autoencoder compiled"] = partial(self._drawn, pipeline)

    def timed(self, name: str) -> float:
        """Draw once; seconds. Every prompt is new, so that none is remembered, and as long as the others."""
        self._number += 1
        started_s = time.perf_counter()
        self.draw[name](f"{WORDS * 2}{self._number:04d}")
        return time.perf_counter() - started_s

    # --- how each of them draws ------------------------------------------------------------------------

    def _ours(self, *, fresh: bool = False) -> Any:
        """Our pipeline. fresh: with networks of its own over the same numbers."""
        if fresh:
            kept = self.parts.made.copy()
            for name in ("transformer", "controlnet"):
                if name in kept:
                    self.parts.made[name] = _twin(kept[name], type(kept[name]))
            try:
                return self.job.model().load(self.parts)
            finally:
                self.parts.made = kept
        return self.job.model().load(self.parts)

    def _plain(self) -> Any:
        """diffusers' own pipeline, with none of our classes."""
        made = self.parts.made
        stock = {
            "transformer": ZImageTransformer2DModel
            if self.job.family == "z-image"
            else type(made["transformer"]),
            "controlnet": ZImageControlNetModel,
        }
        parts = {name: _twin(made[name], kind) for name, kind in stock.items() if name in made}
        encoder = made["text_encoder"]
        pipeline = self.job.pipeline(
            scheduler=type(made["scheduler"]).from_config(made["scheduler"].config),
            vae=made["vae"],
            text_encoder=as_language_model(encoder) if self.job.family == "klein" else encoder,
            tokenizer=self.parts.part("tokenizer", None),
            **parts,
        )
        if self.job.family == "klein":
            pipeline.register_to_config(is_distilled=True)
        if self.job.family == "ovis":
            fit_to_tokenizer(pipeline)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _drawn(self, pipeline: Any, prompt: str) -> Image.Image:
        """As a worker's child draws."""
        known = {
            name: value
            for name, value in self.job.values.items()
            if name in self.job.model.Input.model_fields
        }
        request = self.job.model.Input.accepted(
            self.job.model.Input.parse(known | {"prompt": prompt}).settled()
        )
        picture = _picture(self.job.given_size)
        images = {
            "image_url": [picture],
            "mask_image_url": [_mask(self.job.size)],
            "image_urls": [picture] * 2,
        }
        run = Run(self.parts, 0, images, on_step=lambda step, steps: None, note=lambda sentence: None)
        return self.job.model().generate(pipeline, request, run)[0]

    def _stock(self, pipeline: Any, prompt: str) -> Image.Image:
        """As diffusers' documentation draws."""
        width, height = self.job.size
        values, picture = self.job.values, _picture(self.job.given_size)
        given: dict[str, Any] = {"num_inference_steps": self.job.steps}
        if self.job.family == "z-image":
            given |= {"control_image": picture, "guidance_scale": 0.0}
            given["controlnet_conditioning_scale"] = values["control_scale"]
            if self.job.model is ZImageInpainting:
                given |= {"image": picture, "mask_image": _mask(self.job.size)}
        elif self.job.family == "ovis":
            given["guidance_scale"] = values["guidance_scale"]
        else:
            given |= {"image": [picture] * 2, "guidance_scale": 1.0, "num_inference_steps": 4}
            given["text_encoder_out_layers"] = klein.text_layers(pipeline)
        with torch.inference_mode():
            drawn = pipeline(
                prompt=prompt,
                width=width,
                height=height,
                generator=torch.Generator("cpu").manual_seed(0),
                **given,
            )
        image: Image.Image = drawn.images[0]
        return image


def _twin(module: Any, kind: Any) -> Any:
    """A module of a class over the same numbers."""
    with torch.device("meta"):
        twin = kind.from_config(module.config)
    # Of a ControlNet without what it has borrowed from a transformer.
    numbers = module.state_dict()
    twin.load_state_dict({name: numbers[name] for name in twin.state_dict()}, assign=True)
    return twin.eval()


def _picture(size: tuple[int, int]) -> Image.Image:
    image = Image.radial_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(image).rectangle((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill="red")
    return image


def _mask(size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, "black")
    ImageDraw.Draw(image).rectangle((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill="white")
    return image


VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__}
