"""One loop for every stage: a budget of minutes, checkpoints to go on from, a moving average, a progress bar.

The learning rate falls to zero at the end of the budget, so a stage is as good as it can be in the
minutes that it was given; given more, it goes on from its checkpoint.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import torch
from tqdm import tqdm

CHECKPOINTS: Final = Path(__file__).parent / "checkpoints"
SAVE_EVERY_S: Final = 120.0
SAMPLE_EVERY_S: Final = 900.0
MATRIX_RATE: Final = 5e-3
"""The rate of Muon, which teaches what `Stage.matrices` names."""


@dataclass(frozen=True)
class Recipe:
    """How a stage is optimised. average: decay of the moving average of its weights, 0 for none."""

    rate: float = 1e-3
    weight_decay: float = 0.01
    average: float = 0.999
    warmup_steps: int = 100
    clip: float = 1.0
    betas: tuple[float, float] = (0.9, 0.99)


class Stage(ABC):
    """One stage of training: what is trained, its loss on a fresh batch, and a picture of how it does."""

    name: ClassVar[str]
    recipe: ClassVar[Recipe] = Recipe()
    module: torch.nn.Module
    tutors: torch.nn.ModuleList | None = None
    """Learn beside the module and help it to learn; they are not averaged and not published."""
    progress: float = 0.0
    """The share of its minutes that is over."""

    @abstractmethod
    def loss(self, rng: np.random.Generator) -> torch.Tensor:
        """The loss on one batch that `rng` chooses."""

    def matrices(self) -> list[torch.nn.Parameter]:
        """The weights that Muon teaches; AdamW teaches all others."""
        return []

    def take_published(self) -> None:
        """Begin with the weights in the package."""
        raise SystemExit(f"{self.name} cannot begin with published weights")

    @abstractmethod
    def report(self, module: torch.nn.Module, folder: Path) -> str:
        """Write samples of `module` (the averaged weights) into `folder`; return figures for one line."""


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def half_precision() -> Iterator[None]:
    """bfloat16 for the products: twice as fast on CPUs that have it, and on every GPU.

    On CPUs attention stays in float32: at a few hundred tokens its gradient takes half the time.
    """
    with torch.autocast(device().type, torch.bfloat16), _attention_of(device()):
        yield


@contextmanager
def _attention_of(where: torch.device) -> Iterator[None]:
    usual = torch.nn.functional.scaled_dot_product_attention

    def attention(query: Any, key: Any, value: Any, attn_mask: Any = None, **more: Any) -> torch.Tensor:
        if attn_mask is not None and attn_mask.is_floating_point():
            attn_mask = attn_mask.float()
        with torch.autocast(where.type, enabled=False):
            found = usual(query.float(), key.float(), value.float(), attn_mask=attn_mask, **more)
        return found.to(query.dtype)

    if where.type == "cpu":
        torch.nn.functional.scaled_dot_product_attention = attention  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.nn.functional.scaled_dot_product_attention = usual


def compiled(blocks: Iterable[torch.nn.Module]) -> None:
    """Compile blocks of a model in place, on CPUs a fifth faster, for any number of tokens."""
    for block in blocks:
        block.compile(dynamic=True)


def train(stage: Stage, minutes: float, seed: int = 0) -> None:
    """Train `stage` until it has had `minutes` in all, going on from its checkpoint where there is one."""
    run = _Run(stage, minutes * 60, seed)
    with tqdm(
        total=round(minutes * 60), initial=round(run.elapsed_s), unit="s", desc=stage.name, mininterval=5
    ) as bar:
        while run.elapsed_s < run.budget_s:
            loss = run.step()
            bar.n = round(run.elapsed_s)
            bar.set_postfix_str(f"step {run.steps} loss {loss:.4f}", refresh=False)
            bar.update(0)
            if run.is_due("save", SAVE_EVERY_S):
                run.save()
            if run.is_due("report", SAMPLE_EVERY_S):
                tqdm.write(f"{stage.name} {run.elapsed_s / 60:.1f} min, step {run.steps}: {run.report()}")
    run.save()
    tqdm.write(f"{stage.name} done after {run.elapsed_s / 60:.1f} min, {run.steps} steps: {run.report()}")


def has_checkpoint(name: str) -> bool:
    """Whether a stage was trained here."""
    return (CHECKPOINTS / f"{name}.pt").exists()


def trained(name: str) -> dict[str, Any]:
    """What the checkpoint of a stage holds: "average" are its weights, "minutes" and "steps" its cost."""
    if not has_checkpoint(name):
        raise SystemExit(f"{name} is not trained yet: python -m training {name}")
    return torch.load(CHECKPOINTS / f"{name}.pt", map_location="cpu", weights_only=True)


class _Run:
    """A stage in training: its optimiser, its average, and the time it has had."""

    def __init__(self, stage: Stage, budget_s: float, seed: int) -> None:
        self.stage = stage
        self.budget_s = budget_s
        self.elapsed_s = 0.0
        self.steps = 0
        self.smooth_loss = math.nan
        self._seed = seed
        self._due: dict[str, float] = {}
        taught = [stage.module] if stage.tutors is None else [stage.module, stage.tutors]
        self._weights = [
            weight for module in taught for weight in module.parameters() if weight.requires_grad
        ]
        self._optimizers = _optimizers(stage, self._weights)
        self.average = deepcopy(stage.module).requires_grad_(False)
        self._resume()

    def step(self) -> float:
        """One step; returns the smoothed loss."""
        began = time.monotonic()
        self.stage.progress = min(self.elapsed_s / self.budget_s, 1.0)
        rng = np.random.default_rng([self._seed, self.steps])
        torch.manual_seed(int(rng.integers(2**62)))
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = optimizer.defaults["lr"] * self._share_of_rate()
        loss = self.stage.loss(rng)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._weights, self.stage.recipe.clip)
        for optimizer in self._optimizers:
            optimizer.step()
        self._follow()
        self.steps += 1
        value = float(loss.detach())
        self.smooth_loss = value if math.isnan(self.smooth_loss) else 0.98 * self.smooth_loss + 0.02 * value
        self.elapsed_s += time.monotonic() - began
        return self.smooth_loss

    def is_due(self, what: str, every_s: float) -> bool:
        """Whether `every_s` seconds of training have gone by since it was last due."""
        if self.elapsed_s < self._due.setdefault(what, self.elapsed_s + every_s):
            return False
        self._due[what] = self.elapsed_s + every_s
        return True

    def report(self) -> str:
        """The loss and the stage's own figures; samples beside the checkpoint."""
        folder = CHECKPOINTS / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        with torch.inference_mode():
            return f"loss {self.smooth_loss:.4f}, {self.stage.report(self.average, folder)}"

    def save(self) -> None:
        """Write the checkpoint in one move, so that a stop never leaves half of it."""
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        path = CHECKPOINTS / f"{self.stage.name}.pt"
        state = {
            "module": self.stage.module.state_dict(),
            "average": self.average.state_dict(),
            "tutors": self.stage.tutors.state_dict() if self.stage.tutors else {},
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "minutes": self.elapsed_s / 60,
            "steps": self.steps,
            "loss": self.smooth_loss,
            "threads": torch.get_num_threads(),
            "device": str(device()),
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)

    def _resume(self) -> None:
        if not has_checkpoint(self.stage.name):
            return
        state = trained(self.stage.name)
        self.stage.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        if self.stage.tutors:
            self.stage.tutors.load_state_dict(state["tutors"])
        for optimizer, kept in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        self.elapsed_s, self.steps, self.smooth_loss = state["minutes"] * 60, state["steps"], state["loss"]

    def _share_of_rate(self) -> float:
        """Up in a few steps, level for half the budget, then down to zero along a cosine."""
        done = self.stage.progress
        fall = 1.0 if done < 0.5 else 0.5 * (1 + math.cos(math.pi * (done - 0.5) / 0.5))
        return fall * min(1.0, (self.steps + 1) / self.stage.recipe.warmup_steps)

    def _follow(self) -> None:
        decay = min(self.stage.recipe.average, (self.steps + 1) / (self.steps + 10))
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.stage.module.parameters(), strict=True):
                mean.data.lerp_(weight.data, 1 - decay)
            for kept, buffer in zip(self.average.buffers(), self.stage.module.buffers(), strict=True):
                kept.copy_(buffer)


def _optimizers(stage: Stage, weights: list[torch.nn.Parameter]) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for a stage's matrices, AdamW for the rest of its weights."""
    recipe, matrices = stage.recipe, stage.matrices()
    apart = {id(matrix) for matrix in matrices}
    others = [weight for weight in weights if id(weight) not in apart]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, recipe.rate, recipe.betas, weight_decay=recipe.weight_decay)
    ]
    if matrices:
        found.append(
            torch.optim.Muon(
                matrices,
                MATRIX_RATE,
                weight_decay=recipe.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return found
