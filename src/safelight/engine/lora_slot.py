"""All LoRAs of a job as one of fixed form, so that compiled blocks meet no shape that they do not know.

A graph holds which modules have an adapter, of which rank and at which scale. So every module of a
compiled block gets one, of a rank that is rounded up, at scale 1: those of several LoRAs side by side, zeros
elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from safelight.engine.compiling import repeated

LEAST_RANK = 16
DOWN, UP = ".lora_A.weight", ".lora_B.weight"

Weights = Mapping[str, Tensor]
"""`<module>.lora_A.weight`, (rank, inputs), and `<module>.lora_B.weight`, (outputs, rank)."""


def in_one_slot(loras: Sequence[tuple[Weights, float]], network: nn.Module) -> dict[str, Tensor]:
    """Several LoRAs with their scales as one at scale 1, for all linear modules of the network's blocks."""
    linear = {
        f"{name}.{inner}": module
        for name, block in repeated(network)
        for inner, module in block.named_modules()
        if isinstance(module, nn.Linear)
    }
    outside = {name.removesuffix(DOWN) for weights, _ in loras for name in weights if name.endswith(DOWN)}
    for name in outside - linear.keys():
        linear[name] = network.get_submodule(name)  # type: ignore[assignment]
    parts = {
        name: [(w[name + DOWN], w[name + UP] * scale) for w, scale in loras if name + DOWN in w]
        for name in linear
    }
    rank = _rounded_up(max(sum(len(down) for down, _ in part) for part in parts.values()))
    found: dict[str, Tensor] = {}
    for name, module in linear.items():
        down, up = torch.zeros(rank, module.in_features), torch.zeros(module.out_features, rank)
        row = 0
        for one_down, one_up in parts[name]:
            down[row : row + len(one_down)], up[:, row : row + len(one_down)] = one_down, one_up
            row += len(one_down)
        found |= {name + DOWN: down, name + UP: up}
    return found


def _rounded_up(rank: int) -> int:
    return max(LEAST_RANK, 1 << (rank - 1).bit_length())
