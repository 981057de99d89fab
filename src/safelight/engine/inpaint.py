"""What Z-Image's inpainting pipeline lacks: strength, and latents that are kept outside the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.z_image.pipeline_z_image import get_default_z_image_sigmas
from diffusers.pipelines.z_image.pipeline_z_image_img2img import retrieve_latents
from diffusers.utils.torch_utils import randn_tensor
from PIL import Image
from torch import Tensor

from safelight.engine.masks import mask_to_latents


def steps_of(strength: float, steps: int) -> int:
    """How many steps are run, the last ones: as ZImageImg2ImgPipeline counts them, but at least one."""
    return max(1, steps - int(max(steps - min(steps * strength, steps), 0)))


@dataclass(frozen=True)
class Repaint:
    """One inpainting run, ready for the pipeline.

    sigmas: the noise levels of the steps that are run, before the scheduler shifts them. latents: where the
    first of them starts. kept, noise: the original's latents and the run's noise. mask: 1 is repainted.
    """

    sigmas: list[float]
    latents: Tensor
    kept: Tensor
    noise: Tensor
    mask: Tensor

    def settle(self, latents: Tensor, sigma: Tensor) -> Tensor:
        """Put the original back outside the mask, at the noise level of the latents."""
        original = sigma * self.noise + (1 - sigma) * self.kept
        return self.mask * latents + (1 - self.mask) * original


def prepare(
    pipeline: Any,
    image: Image.Image,
    mask: Image.Image,
    *,
    strength: float,
    steps: int,
    generator: torch.Generator,
) -> Repaint:
    """Encode an image and noise it to where its strength says.

    image: RGB, and mask: grey, both of the working size. At strength 1 it starts from noise alone, as
    ZImageControlNetInpaintPipeline does; below, as ZImageImg2ImgPipeline does with the same generator.
    """
    count = steps_of(strength, steps)
    sigmas = get_default_z_image_sigmas(steps)[steps - count :]
    device, vae = pipeline._execution_device, pipeline.vae
    with torch.inference_mode():
        pixels = pipeline.image_processor.preprocess(image).to(device, vae.dtype)
        encoded = vae.encode(pixels)
        kept = _scaled(vae, retrieve_latents(encoded, sample_mode="argmax")).float()
        start = kept if count == steps else _scaled(vae, retrieve_latents(encoded, generator)).float()
        noise = randn_tensor(kept.shape, generator=generator, device=device, dtype=torch.float32)
        pipeline.scheduler.set_timesteps(sigmas=sigmas, device=device)
        latents = pipeline.scheduler.scale_noise(start, pipeline.scheduler.timesteps[:1], noise)
        grey = torch.from_numpy(np.asarray(mask, dtype=np.float32) / 255)[None, None].to(device)
        shrunk = mask_to_latents(grey, pipeline.vae_scale_factor)
    return Repaint(sigmas, latents, kept, noise, shrunk)


def _scaled(vae: Any, latents: Tensor) -> Tensor:
    scaled: Tensor = (latents - vae.config.shift_factor) * vae.config.scaling_factor
    return scaled
