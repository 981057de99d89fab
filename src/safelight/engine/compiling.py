"""Compile the blocks that a network repeats, once for every size, prompt and LoRA.

A graph is one for each kind of block: the length of the sequence is left open in it, so that no size and no
prompt asks for another. Hooks stay outside of it. What the compiler cannot do is computed as before.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import MethodType
from typing import Any

import diffusers
import torch
from torch import nn

log = logging.getLogger(__name__)

BLOCKS = frozenset(
    {
        "ZImageTransformerBlock",
        "HintingBlock",
        "OvisImageTransformerBlock",
        "OvisImageSingleTransformerBlock",
        "Flux2TransformerBlock",
        "Flux2SingleTransformerBlock",
    }
)
"""Classes of blocks, by name: their modules take long to import."""

ONCE = frozenset({"context_refiner"})
"""Blocks that run once in a job; compiling them would cost more than it gains."""

GRAPHS = 32
"""How many graphs a kind of block may have: without LoRAs, and for each rank that they are filled up to."""

Forward = Callable[..., Any]
Backend = str | Callable[..., Any]


def prepare_compiler(folder: Path) -> None:
    """Have what is compiled kept in a folder, from which a later process takes it.

    By the versions of torch and diffusers, so that an old one's can be thrown away; the device and the code
    are in the compiler's own keys. Call it before the compiler is first used.
    """
    own = folder / f"torch-{torch.__version__}-diffusers-{diffusers.__version__}"
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(own)
    os.environ["TRITON_CACHE_DIR"] = str(own / "triton")


def compile_blocks(network: nn.Module, backend: Backend = "inductor") -> int:
    """Compile the repeated blocks of a network, each at its first run. Returns how many there are."""
    found = [block for _, block in repeated(network)]
    for block in found:
        kind: Any = type(block)
        block.forward = MethodType(_compiled(kind, backend), block)
    return len(found)


def is_compiled(network: nn.Module) -> bool:
    """Whether a network's blocks are compiled ones."""
    return any("forward" in vars(block) for _, block in repeated(network))


def repeated(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The blocks of a network that are worth compiling, by their names."""
    for name, module in network.named_modules():
        if type(module).__name__ in BLOCKS and not ONCE & set(name.split(".")):
            yield name, module


@cache
def _compiled(kind: Any, backend: Backend) -> Forward:
    """The forward of a kind of block, compiled; the plain one from the first time on that this fails."""
    plain: Forward = kind.forward
    compiled: Forward = torch.compile(plain, backend=backend, dynamic=True, fullgraph=True)
    broken = False

    def forward(block: nn.Module, *arguments: Any, **options: Any) -> Any:
        nonlocal broken
        _allow_for_all_sizes()
        if not broken:
            try:
                return compiled(block, *arguments, **options)
            except torch._dynamo.exc.TorchDynamoException as error:
                broken = True
                log.warning(
                    "%s could not be compiled and is run as it is: %s", kind.__name__, str(error)[:500]
                )
        return plain(block, *arguments, **options)

    return forward


@cache
def _allow_for_all_sizes() -> None:
    """Settings of the compiler that hold for the process."""
    import torch._dynamo
    import torch.fx.experimental._config as shapes

    # Two lengths that happen to be equal at first, a sequence's and a time embedding's, may differ later.
    shapes.use_duck_shape = False
    torch._dynamo.config.recompile_limit = GRAPHS
