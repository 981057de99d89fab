"""What lies in the package: where training can go on when there are no checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch

NANO: Final = Path(__file__).parents[1] / "src" / "safelight" / "nano"


def published(kind: Any, folder: str) -> dict[str, torch.Tensor]:
    """The state of one published part, in float32. Raises SystemExit where there is none."""
    if not (NANO / folder).exists():
        raise SystemExit(f"{folder} is neither trained nor published yet; see docs/nano.md")
    part = kind.from_pretrained(NANO / folder, local_files_only=True, dtype=torch.float32)
    state: dict[str, torch.Tensor] = part.state_dict()
    return state
