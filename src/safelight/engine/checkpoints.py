"""One module from its files: of the class that they name, in the layout of diffusers or its authors'."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import diffusers
import torch

from safelight.loras.safetensors_header import read_header
from safelight.models.base import LoadContext

ANY_OF = {"AutoencoderTiny": ("AutoencoderTiny", "AutoencoderKL", "AutoencoderKLFlux2")}
"""Classes that stand for others too: the small one of nano weights for what real ones have in its place."""

_AUTHORS_NAMES = re.compile(r"^model\.diffusion_model\.|\.attention\.qkv\.weight$|^(double|single)_blocks\.")
"""What tensors are called by those who trained a model, and never by diffusers."""


def class_of(path: Path, kind: type) -> type:
    """The class to load: the asked one, or among those that it stands for the one that the files name."""
    names = ANY_OF.get(kind.__name__)
    if names is None:
        return kind
    named = json.loads((path / "config.json").read_text())["_class_name"]
    if named not in names:
        raise ValueError(f"{named} is no autoencoder that is known here")
    found: type = getattr(diffusers, named)
    return found


def load_module(context: LoadContext, path: Path, kind: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """Load a module straight to a device. path: its folder, or the single file of a class that reads one."""
    if path.is_file():
        return kind.from_file(path, context, device, dtype)
    if file := _in_authors_layout(path, kind):
        module = kind.from_single_file(str(file), config=str(path), local_files_only=True, dtype=dtype)
        return module.to(device)
    if device.type == "cpu":
        return kind.from_pretrained(path, local_files_only=True, dtype=dtype)
    # No copy of it in main memory on the way.
    return kind.from_pretrained(path, local_files_only=True, dtype=dtype, device_map={"": str(device)})


def _in_authors_layout(path: Path, kind: Any) -> Path | None:
    """The file of a folder whose tensors have their authors' names, if it is one that can be converted."""
    files = list(path.glob("*.safetensors"))
    if len(files) != 1 or not hasattr(kind, "from_single_file"):
        return None
    names = read_header(files[0]).tensors
    return files[0] if any(_AUTHORS_NAMES.search(name) for name in names) else None
