"""Z-Image's ControlNet, a step of one image: the arithmetic of diffusers', hint by hint.

diffusers hands a growing stack of hints from block to block, copies all of them in each, and masks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from typing import Any, cast

import torch
from diffusers import ZImageControlNetModel
from diffusers.models.controlnets.controlnet_z_image import ZImageControlTransformerBlock
from diffusers.models.transformers.transformer_z_image import ZImageTransformerBlock
from torch import Tensor

from safelight.engine.once import Memo
from safelight.engine.z_image_tokens import (
    EMBEDDER,
    FRAMES,
    PATCH,
    Tokens,
    embedded,
    first_refined,
    grid_of,
    image_tokens,
    prompt_tokens,
    time_embedding,
)

# By a name of its own: the compiler does not look into that class.
_as_a_block: Any = ZImageTransformerBlock.forward


class HintingBlock(ZImageControlTransformerBlock):  # type: ignore[misc]
    """A block of the ControlNet that returns its hint and what the next block takes."""

    def forward(
        self, control: Tensor, rotations: Tensor, time: Tensor, image: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """All of (1, length, dim) but rotations and time. image: for the first block, which adds it."""
        if image is not None:
            control = self.before_proj(control) + image
        # Between its projections it is a block of the transformer, with modules of the same names.
        control = _as_a_block(self, control, None, rotations, time)
        return self.after_proj(control), control


class LeanControlNet(ZImageControlNetModel):  # type: ignore[misc]
    """`ZImageControlNetModel` for one image at a time."""

    memo: Memo | None = None

    # diffusers reads the signature.
    @wraps(ZImageControlNetModel.__init__)  # type: ignore[misc]
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for block in self.modules():
            if type(block) is ZImageControlTransformerBlock:
                block.__class__ = HintingBlock  # the same modules, called otherwise

    def forward(
        self,
        x: list[Tensor],
        t: Tensor,
        cap_feats: list[Tensor],
        control_context: Tensor,
        conditioning_scale: float = 1.0,
    ) -> dict[int, Tensor] | None:
        """The hints of one step, by the layer that hears them.

        x: one image's latents, (channels, frames, H, W). control_context: (1, channels, frames, H, W).
        """
        (latents,), memo = x, self.memo or Memo()
        time = time_embedding(self, t, latents.dtype, memo)
        prompt = prompt_tokens(self, cap_feats[0], memo)
        image = image_tokens(self, latents, prompt.values.shape[1], memo)
        control = self._control(control_context, prompt, memo)
        refined, control = self._refined(image, control, time, conditioning_scale, memo)
        whole = Tokens(refined, image.rotations).followed_by(prompt)
        control = torch.cat((control, prompt.values), 1)
        hints, _ = _speak(self.control_layers, control, whole, time)
        places = self.control_layers_places
        return {place: hint * conditioning_scale for place, hint in zip(places, hints, strict=True)}

    def _control(self, control_context: Tensor, prompt: Tokens, memo: Memo) -> Tensor:
        """The control image as tokens, (1, length, dim)."""

        def compute() -> Tensor:
            patches, _, shape = self._patchify_image(control_context[0], PATCH, FRAMES)
            grid = grid_of(self, shape, prompt.values.shape[1], control_context.device, memo)
            return embedded(self, self.control_all_x_embedder[EMBEDDER], patches, grid)[None]

        return memo.once("control", (control_context,), compute)

    def _refined(
        self, image: Tokens, control: Tensor, time: Tensor, scale: float, memo: Memo
    ) -> tuple[Tensor, Tensor]:
        """Image and control after the refiners, which in versions from 2.0 on hint at each other."""
        hints: dict[int, Tensor] = {}
        if self.add_control_noise_refiner is None:
            for layer in self.control_noise_refiner:
                control = layer(control, None, image.rotations, time)
        else:
            own = self.add_control_noise_refiner == "control_noise_refiner"
            blocks = self.control_noise_refiner if own else self.control_layers
            found, control = _speak(blocks, control, image, time)
            hints = {
                place: found[index] * scale for index, place in enumerate(self.control_refiner_layers_places)
            }
        values = first_refined(self, image, time, memo)
        if 0 in hints:
            values = values + hints[0]
        for index, layer in enumerate(self.noise_refiner[1:], start=1):
            values = layer(values, None, image.rotations, time)
            if index in hints:
                values = values + hints[index]
        return values, control


def _speak(
    blocks: Iterable[HintingBlock], control: Tensor, image: Tokens, time: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Every block's hint, and what leaves the last one."""
    hints = []
    for index, block in enumerate(blocks):
        first = image.values if index == 0 else None
        hint, control = cast(tuple[Tensor, Tensor], block(control, image.rotations, time, first))
        hints.append(hint)
    return hints, control
