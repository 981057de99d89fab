"""Which base model a LoRA was made for: what its file says, else what its tensors betray."""

from __future__ import annotations

import re

from safelight.loras.safetensors_header import Header

_TOLD_IN = (
    "modelspec.architecture",
    "ss_base_model_version",
    "base_model_name_or_path",
    "base_model",
    "ss_sd_model_name",
)
"""Where trainers write the base down, the most telling first."""

_MADE_FOR = (
    (r"single_transformer_blocks.*attn\.to_qkv_mlp_proj", "FLUX.2"),
    (r"single_transformer_blocks|double_blocks", "FLUX"),
    (r"txt_mlp|img_mlp|img_mod", "Qwen-Image"),
    (r"joint_blocks|transformer_blocks[._]\d+[._]attn[._]add_k_proj", "Stable Diffusion 3"),
    (r"\bblocks[._]\d+[._](self|cross)_attn", "Wan"),
    (r"lora_te2_|conditioner", "Stable Diffusion XL"),
    (r"down_blocks|input_blocks|mid_block", "Stable Diffusion"),
    (r"layers[._]\d+[._](attention|feed_forward|adaLN)|noise_refiner", "Z-Image"),
)
"""Names that only one family has, the special before the general."""

_CROSS_ATTENTION = re.compile(r"attn2[._]to_k[._]lora[._](down|A)")
_BY_CONTEXT = {768: "Stable Diffusion 1.5", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
MAX_CHARACTERS = 60


def base_of(header: Header) -> str:
    """The name of the base, cut and cleaned where the file gives it; nothing when there is no telling."""
    told = next((header.metadata[key] for key in _TOLD_IN if header.metadata.get(key)), "")
    return _cleaned(told) or _guessed(header)


def _guessed(header: Header) -> str:
    for name, info in header.tensors.items():
        if _CROSS_ATTENTION.search(name) and len(info.shape) >= 2 and info.shape[1] in _BY_CONTEXT:
            return _BY_CONTEXT[info.shape[1]]
    for pattern, family in _MADE_FOR:
        if any(re.search(pattern, name) for name in header.tensors):
            return family
    return ""


def _cleaned(text: str) -> str:
    """A stranger's words, short and plain enough for a sentence of ours; a path is reduced to its name."""
    last = re.split(r"[/\\]", text.strip().removesuffix("/lora"))[-1]
    return re.sub(r"[^\w .+()-]", "", last)[:MAX_CHARACTERS].strip()
