"""A ControlNet from a single file: which of the known ones it is, its tensors tell.

The configurations of those for Z-Image-Turbo ship in `controlnets/`; for smaller bases they are made alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor

from safelight.engine.compiling import compile_blocks, is_compiled
from safelight.engine.control import WindowedControlNet
from safelight.errors import InvalidLora, LoraIncompatible
from safelight.loras.keys import UNKNOWN_CONTROLNET
from safelight.texts import Text

EMBEDDER = "control_all_x_embedder.2-1.weight"
FIRST_REFINER = "control_noise_refiner.0.before_proj.weight"
PATCH_VALUES = 4
"""A token is 2×2 latents."""
CONFIGS = Path(__file__).with_name("controlnets")
PREFIX = "model.diffusion_model."


class Base(Protocol):
    """What must be known of the transformer that it is for: the configuration's own names."""

    in_channels: int
    n_layers: int
    n_refiner_layers: int
    n_heads: int
    n_kv_heads: int
    norm_eps: float
    qk_norm: bool


@dataclass(frozen=True)
class Look:
    """What tells ControlNets apart: the tensors' shapes, and whether 2.1's first refiner has a say."""

    shapes: Mapping[str, tuple[int, ...]]
    refines: bool

    @classmethod
    def at(cls, tensors: Mapping[str, Tensor]) -> Look:
        """Look at loaded tensors."""
        first = tensors.get(FIRST_REFINER)
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        return cls(shapes, first is not None and bool(first.any()))

    @classmethod
    def into(cls, path: Path) -> Look:
        """Look into a file without loading it."""
        with safe_open(path, "pt") as file:
            shapes = {_plain(name): tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            first = [name for name in file.keys() if _plain(name) == FIRST_REFINER]  # noqa: SIM118
            return cls(shapes, any(bool(file.get_tensor(name).any()) for name in first))


NOT_FINITE = Text("The file holds numbers that are not finite.", "파일에 유한하지 않은 수가 있습니다.")
_FILLS_NO_MASKS = Text(
    "This ControlNet cannot fill masks; versions 2.0 and 2.1 of it can.",
    "이 ControlNet은 마스크를 채울 수 없습니다. 2.0과 2.1 버전은 가능합니다.",
)
_LACKS_TENSORS = Text(
    "This ControlNet lacks tensors, or is of a kind that is not known here.",
    "ControlNet의 텐서가 빠져 있거나 알 수 없는 종류입니다.",
)
_ODD_SHAPES = Text(
    "The shapes of this ControlNet's tensors do not fit each other.",
    "ControlNet의 텐서 모양이 서로 맞지 않습니다.",
)
_ODD_LAYERS = Text(
    "This ControlNet has no layers, or too many.", "ControlNet에 레이어가 없거나 너무 많습니다."
)


def load_controlnet(data: bytes, pipeline: Any, like: WindowedControlNet) -> WindowedControlNet:
    """Build the ControlNet of a file beside a loaded one, whose borrowed modules and device it shares.

    Raises LoraIncompatible when it cannot do what the pipeline's own can (filling masks), InvalidLora when
    tensors are missing.
    """
    tensors = {_plain(name): tensor for name, tensor in safetensors.torch.load(data).items()}
    config = config_of(Look.at(tensors), pipeline.transformer.config)
    fills_masks = config["control_in_dim"] > pipeline.transformer.in_channels
    if "Inpaint" in type(pipeline).__name__ and not fills_masks:
        raise LoraIncompatible(_FILLS_NO_MASKS)
    # Copies, because where a tensor begins in memory changes the last bits of what is computed with it.
    wanted = _wanted(config, tensors)
    if not all(torch.isfinite(tensors[name]).all() for name in wanted):
        raise InvalidLora(NOT_FINITE)
    controlnet = _filled(config, {name: tensors[name].clone() for name in wanted})
    controlnet = controlnet.to(like.device, like.dtype)
    if is_compiled(like):
        compile_blocks(controlnet)
    return WindowedControlNet.from_transformer(controlnet, pipeline.transformer)  # type: ignore[no-any-return]


def read_controlnet(path: Path, base: Base, device: torch.device, dtype: torch.dtype) -> WindowedControlNet:
    """Build the ControlNet of a file that was pulled, straight on a device; nothing is borrowed yet."""
    config = config_of(Look.into(path), base)
    loaded = safetensors.torch.load_file(path, device=str(device))
    tensors = {_plain(name): tensor for name, tensor in loaded.items()}
    return _filled(config, {name: tensors[name].to(dtype) for name in _wanted(config, tensors)})


def config_of(look: Look, base: Base) -> dict[str, Any]:
    """What its class wants to know, for versions 1, 2.0, 2.1 and 2.1-lite. Raises InvalidLora."""
    if EMBEDDER not in look.shapes:
        raise InvalidLora(UNKNOWN_CONTROLNET)
    width, values = look.shapes[EMBEDDER]
    channels = values // PATCH_VALUES
    layers, refiners = _count(look.shapes, "control_layers"), _count(look.shapes, "control_noise_refiner")
    if not layers or layers > base.n_layers:
        raise InvalidLora(_ODD_LAYERS)
    # 2.0 and 2.1 have tensors of the same names; 2.0's refiner is zero, unused.
    kind = (
        None
        if channels <= base.in_channels
        else "control_noise_refiner"
        if look.refines
        else "control_layers"
    )
    found = {
        "control_layers_places": _spread(layers, base.n_layers),
        "control_refiner_layers_places": list(range(base.n_refiner_layers)) if kind else None,
        "control_in_dim": channels,
        "add_control_noise_refiner": kind,
        "dim": width,
        "n_refiner_layers": refiners or base.n_refiner_layers,
        "n_heads": base.n_heads,
        "n_kv_heads": base.n_kv_heads,
        "norm_eps": base.norm_eps,
        "qk_norm": base.qk_norm,
    }
    return next((known for known in shipped().values() if _is(known, found)), found)


@cache
def shipped() -> dict[str, dict[str, Any]]:
    """The configurations of the ControlNets that were published for Z-Image-Turbo, by version."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(CONFIGS.glob("*.json"))}


def _is(known: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a configuration is the published one; which layers hear it, no tensor tells."""
    told = [name for name in found if name != "control_layers_places"]
    layers = [len(config["control_layers_places"]) for config in (known, found)]
    return all(known[name] == found[name] for name in told) and layers[0] == layers[1]


def _spread(layers: int, over: int) -> list[int]:
    """The layers of the base that hear it, evenly: 6 over 30 on each fifth, 15 on each second."""
    return list(range(0, over, -(-over // layers)))[:layers]


def _wanted(config: Mapping[str, Any], tensors: Iterable[str]) -> set[str]:
    with torch.device("meta"):
        wanted = set(WindowedControlNet(**config).state_dict())
    if not wanted <= set(tensors):
        raise InvalidLora(_LACKS_TENSORS)
    return wanted


def _filled(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> WindowedControlNet:
    with torch.device("meta"):
        controlnet = WindowedControlNet(**config)
    try:
        controlnet.load_state_dict(tensors, assign=True)
    except RuntimeError:
        raise InvalidLora(_ODD_SHAPES) from None
    return controlnet.eval()  # type: ignore[no-any-return]


def _plain(name: str) -> str:
    return name.removeprefix(PREFIX)


def _count(names: Iterable[str], of: str) -> int:
    return len({name.split(".")[1] for name in names if name.startswith(f"{of}.")})
