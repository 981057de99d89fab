"""Z-Image's transformer, a step of one image: the arithmetic of diffusers', without what is done twice."""

from __future__ import annotations

from typing import Any

from diffusers import ZImageTransformer2DModel
from diffusers.models.modeling_outputs import Transformer2DModelOutput

from safelight.engine.once import Memo
from safelight.engine.z_image_tokens import (
    EMBEDDER,
    FRAMES,
    PATCH,
    first_refined,
    image_tokens,
    prompt_tokens,
    time_embedding,
)


class LeanTransformer(ZImageTransformer2DModel):  # type: ignore[misc]
    """`ZImageTransformer2DModel`; batches of several images go the way that they always went."""

    memo: Memo | None = None

    def forward(
        self,
        x: Any,
        t: Any,
        cap_feats: Any,
        return_dict: bool = True,
        controlnet_block_samples: dict[int, Any] | None = None,
        **options: Any,
    ) -> Any:
        """One step. x: the latents of each image, (channels, frames, H, W). See diffusers for the others."""
        if len(x) > 1 or isinstance(x[0], list) or any(option is not None for option in options.values()):
            return super().forward(
                x, t, cap_feats, return_dict, controlnet_block_samples=controlnet_block_samples, **options
            )
        memo, latents, hints = self.memo or Memo(), x[0], controlnet_block_samples or {}
        time = time_embedding(self, t, latents.dtype, memo)
        prompt = prompt_tokens(self, cap_feats[0], memo)
        image = image_tokens(self, latents, prompt.values.shape[1], memo)
        values = first_refined(self, image, time, memo)
        for layer in self.noise_refiner[1:]:
            values = layer(values, None, image.rotations, time)
        whole = type(image)(values, image.rotations).followed_by(prompt)
        values = whole.values
        for index, layer in enumerate(self.layers):
            values = layer(values, None, whole.rotations, time)
            if index in hints:
                values = values + hints[index]
        values = self.all_final_layer[EMBEDDER](values, c=time)
        drawn = self.unpatchify([values[0]], [latents.shape[1:]], PATCH, FRAMES)
        return Transformer2DModelOutput(sample=drawn) if return_dict else (drawn,)


# By the class's name diffusers knows how a LoRA's scale reaches its layers.
LeanTransformer.__name__ = ZImageTransformer2DModel.__name__
