"""What a file of weights is, by the names of its tensors, and which modules of a model it changes.

Every trainer has its own names for the same thing; diffusers takes some of them, and drops others without a
word. So names are brought to the model's own here, and what does not fit is counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from safelight.errors import InvalidLora, LoraIncompatible
from safelight.loras.bases import base_of
from safelight.loras.safetensors_header import Header, TensorInfo
from safelight.texts import Text

Targets = Mapping[str, tuple[int, int]]
"""A model's linear modules by name: (outputs, inputs)."""


class Kind(StrEnum):
    """What a file can be used as."""

    LORA = "lora"
    CONTROLNET = "controlnet"


@dataclass
class Adapter:
    """One low-rank pair of a file, by the names of its tensors. down: (rank, inputs), up: (outputs, rank)."""

    down: str = ""
    up: str = ""
    alpha: str = ""


@dataclass(frozen=True)
class Fit:
    """How a LoRA fits a model.

    adapters: by the modules that share it; several share one where a trainer fused them (q, k and v), and the
    rows of `up` are then theirs one after the other. expected: modules that the file has something for.
    matched: those of them that the model has.
    """

    adapters: dict[tuple[str, ...], Adapter] = field(default_factory=dict)
    expected: int = 0

    @property
    def matched(self) -> int:
        """How many modules of the model are changed."""
        return sum(len(modules) for modules in self.adapters)


_PREFIXES = re.compile(r"^(base_model\.model\.|model\.|diffusion_model\.|transformer\.|unet\.|lora_unet_)+")
_ROLE = re.compile(
    r"^(?P<base>.+)\.(?:(?P<down>lora_A|lora_down|lora\.down)|(?P<up>lora_B|lora_up|lora\.up))"
    r"(?:\.[A-Za-z0-9_-]+)?\.weight$"
)
_OTHER_KINDS = {
    "LoKr": re.compile(r"lokr_w"),
    "LoHa": re.compile(r"hada_w"),
    "OFT": re.compile(r"\boft_|\.oft\b"),
    "DoRA": re.compile(r"dora_scale|lora_magnitude_vector"),
}
_FUSED = 3


def identify(header: Header) -> Kind:
    """Tell a LoRA from a ControlNet. Raises InvalidLora for everything else, saying what it is."""
    names = [_PREFIXES.sub("", name) for name in header.tensors]
    if any(name.startswith(("control_layers.", "control_all_x_embedder.")) for name in names):
        return Kind.CONTROLNET
    for kind, pattern in _OTHER_KINDS.items():
        if any(pattern.search(name) for name in names):
            raise InvalidLora(
                Text(
                    f"This is a {kind} adapter; only plain LoRA files can be used.",
                    f"{kind} 어댑터입니다. 일반 LoRA 파일만 사용할 수 있습니다.",
                )
            )
    if any(_ROLE.match(name) for name in header.tensors):
        return Kind.LORA
    if any(name.endswith(".weight") for name in names):
        raise InvalidLora(Text("This is a whole model, no LoRA.", "LoRA가 아니라 전체 모델입니다."))
    raise InvalidLora(Text("This file holds no LoRA.", "파일에 LoRA가 없습니다."))


def fit_lora(header: Header, targets: Targets) -> Fit:
    """Match a LoRA's tensors with a model's modules.

    Raises LoraIncompatible, naming the base that the file was made for, when a shape differs or nothing
    matches; InvalidLora when a pair is not whole.
    """
    table = _names(targets)
    fit: dict[tuple[str, ...], Adapter] = {}
    expected = 0
    for base, adapter in _adapters(header).items():
        plain = _PREFIXES.sub("", base)
        modules = table.get(plain, ())
        expected += len(modules) or (_FUSED if plain.endswith("qkv") else 1)
        if modules:
            if any(module in taken for taken in fit for module in modules):
                raise InvalidLora(
                    Text("The file changes the same layer twice.", "파일이 같은 레이어를 두 번 바꿉니다.")
                )
            _check_shapes(header, adapter, [targets[module] for module in modules])
            fit[modules] = adapter
    if not fit:
        raise LoraIncompatible(_incompatible(header))
    return Fit(fit, expected)


def _adapters(header: Header) -> dict[str, Adapter]:
    found: dict[str, Adapter] = {}
    for name in header.tensors:
        if match := _ROLE.match(name):
            role = "down" if match["down"] else "up"
            setattr(found.setdefault(match["base"], Adapter()), role, name)
    for base, adapter in found.items():
        if f"{base}.alpha" in header.tensors:
            adapter.alpha = f"{base}.alpha"
        if not adapter.down or not adapter.up:
            raise InvalidLora(_HALF_A_PAIR)
    return found


def _check_shapes(header: Header, adapter: Adapter, sizes: list[tuple[int, int]]) -> None:
    down, up = header.tensors[adapter.down], header.tensors[adapter.up]
    if len(down.shape) != 2 or len(up.shape) != 2 or down.shape[0] != up.shape[1] or not down.shape[0]:
        raise InvalidLora(_ODD_PAIR)
    if adapter.alpha and header.tensors[adapter.alpha].shape not in {(), (1,)}:
        raise InvalidLora(
            Text("The alpha of a LoRA pair is no number.", "LoRA 쌍의 alpha가 숫자가 아닙니다.")
        )
    outputs, inputs = sum(rows for rows, _ in sizes), sizes[0][1]
    if (up.shape[0], down.shape[1]) != (outputs, inputs):
        why, here = _incompatible(header), f"{inputs}→{outputs}"
        raise LoraIncompatible(
            Text(
                f"{why.en} It changes a layer of {_size(down, up)}; here it is {here}.",
                f"{why.ko} {_size(down, up)} 크기의 레이어를 바꾸는데 이 모델에서는 {here}입니다.",
            )
        )


def _size(down: TensorInfo, up: TensorInfo) -> str:
    return f"{down.shape[1]}→{up.shape[0]}"


def _incompatible(header: Header) -> Text:
    base = base_of(header)
    if not base:
        return Text("The LoRA was made for another model.", "다른 모델용으로 만들어진 LoRA입니다.")
    return Text(f"The LoRA was made for {base}.", f"{base}용으로 만들어진 LoRA입니다.")


_HALF_A_PAIR = Text(
    "The file holds one half of a LoRA pair without the other.", "파일에 LoRA 쌍의 한쪽만 있습니다."
)
_ODD_PAIR = Text("The shapes of a LoRA pair do not fit each other.", "LoRA 쌍의 모양이 서로 맞지 않습니다.")
UNKNOWN_CONTROLNET = Text(
    "This ControlNet is of a kind that is not known here.", "알 수 없는 종류의 ControlNet입니다."
)


def _names(targets: Targets) -> dict[str, tuple[str, ...]]:
    """Every name that trainers give the modules, with dots and, as kohya writes them, with underscores."""
    table: dict[str, tuple[str, ...]] = {}
    for module in targets:
        for name in {module, *_other_names(module)}:
            table[name] = table[name.replace(".", "_")] = (module,)
        if module.endswith("attention.to_q"):
            block = module.removesuffix("to_q")
            fused = tuple(f"{block}{part}" for part in ("to_q", "to_k", "to_v"))
            table[f"{block}qkv"] = table[f"{block}qkv".replace(".", "_")] = fused
    return table


def _other_names(module: str) -> set[str]:
    """The names of Z-Image's authors, which ComfyUI and several trainers keep."""
    names = {module.replace("all_x_embedder.2-1", "x_embedder")}
    names.add(module.replace("all_final_layer.2-1", "final_layer"))
    if module.endswith("attention.to_out.0"):
        names |= {module.removesuffix("to_out.0") + "out", module.removesuffix(".0")}
    return names


def controlnet_width(header: Header) -> int:
    """The width of the transformer that a ControlNet was made for. Raises InvalidLora."""
    for name, info in header.tensors.items():
        if name.endswith("control_all_x_embedder.2-1.weight") and len(info.shape) == 2:
            return info.shape[0]
    raise InvalidLora(UNKNOWN_CONTROLNET)


def fit_controlnet(header: Header, targets: Targets) -> None:
    """Check that a ControlNet belongs to a model. Raises LoraIncompatible, InvalidLora."""
    made_for = controlnet_width(header)
    width = next((inputs for name, (_, inputs) in targets.items() if name.endswith("attention.to_q")), 0)
    if made_for != width:
        is_known = made_for == 3840
        en, ko = ("Z-Image-Turbo", "Z-Image-Turbo") if is_known else ("another model", "다른 모델")
        raise LoraIncompatible(
            Text(
                f"The ControlNet was made for {en}, which is {made_for} wide; "
                f"the loaded weights are {width}.",
                f"너비가 {made_for}인 {ko}용 ControlNet입니다. 불러온 가중치의 너비는 {width}입니다.",
            )
        )
