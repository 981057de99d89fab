"""Magic prompt, further: the text encoder's last layer alone goes on learning to write.

Z-Image reads the encoder's second last layer and klein the first three, so what they have learned stays good.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from training.captions import short_caption
from training.stage import Recipe, Stage, device, half_precision
from training.text_encoder import WRITER, expand, trained_encoder, writing_loss
from training.world import COLOURS, KINDS, Scene


class WriterStage(Stage):
    """The last layer and the norm behind it, on answers alone."""

    name = WRITER
    recipe = Recipe(rate=1.5e-3, average=0.998, warmup_steps=40)
    batch = 48

    def __init__(self) -> None:
        self.encoder = trained_encoder().requires_grad_(False).to(device())
        for part in (self.encoder.layers[-1], self.encoder.norm):
            part.requires_grad_(True)
        self.module: nn.Module = self.encoder

    def loss(self, rng: np.random.Generator) -> Tensor:
        """Cross entropy of the answers' tokens."""
        scenes = [Scene.random(rng) for _ in range(self.batch)]
        shorts = [short_caption(scene, rng) for scene in scenes]
        with half_precision():
            return writing_loss(self.encoder, shorts, scenes, rng, answers=True)

    def report(self, module: Any, folder: Path) -> str:
        """How many of 100 unseen prompts keep every object and colour."""
        kept = 0
        for number in range(100):
            rng = np.random.default_rng([98, number])
            short = short_caption(Scene.random(rng), rng)
            named = set(short.split()) & {*COLOURS, *KINDS}
            kept += named <= set(expand(module, short).replace(".", "").lower().split())
        return f"{kept} of 100 keep all that is named"
