"""Control of Z-Image: in which steps the ControlNet speaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from torch import Tensor

from safelight.engine.once import Memo
from safelight.engine.z_image_controlnet import LeanControlNet
from safelight.engine.z_image_transformer import LeanTransformer
from safelight.models.base import LoadContext


class ControlRequest(Protocol):
    """The fields of an input that say how strongly control speaks, and when."""

    @property
    def control_scale(self) -> float:
        """How strongly, in [0, 1]."""
        ...

    @property
    def control_start(self) -> float:
        """From which part of the steps on, in [0, 1]."""
        ...

    @property
    def control_end(self) -> float:
        """Up to which part of the steps, in [0, 1]."""
        ...


@dataclass(frozen=True)
class Window:
    """The part of the steps that is controlled: from `start` to `end`, in [0, 1]."""

    start: float
    end: float
    steps: int

    @classmethod
    def of(cls, request: ControlRequest, steps: int) -> Self:
        """The window that a request asks for; what has no strength need not speak at all."""
        return cls(request.control_start, request.control_end if request.control_scale else 0, steps)

    def controls(self, step: int) -> bool:
        """Whether this step, counted from 0, is controlled.

        It is when it lies in the window as a whole. A window that begins at 0 holds the first step in any
        case: 0.4 of two steps would otherwise be none.
        """
        if step == 0 and self.start == 0 and self.end > 0:
            return True
        return step / self.steps >= self.start and (step + 1) / self.steps <= self.end


class WindowedControlNet(LeanControlNet):
    """The ControlNet, silent outside a window of steps: the transformer takes None for no hints."""

    _window: Window | None = None
    _step = 0
    _without_image = False

    @classmethod
    def from_file(cls, path: Path, context: LoadContext, device: Any, dtype: Any) -> WindowedControlNet:
        """Load one that is published as a single file, for the transformer of the same weights."""
        from safelight.engine.controlnet_file import read_controlnet

        transformer = context.part("transformer", LeanTransformer)
        return read_controlnet(path, transformer.config, device, dtype)

    @contextmanager
    def within(self, window: Window, *, without_image: bool = False) -> Iterator[None]:
        """Speak only within the window's steps, counted from the block's first one.

        without_image: nothing is to be followed, only a mask filled; a grey image would be followed too.
        """
        self._window, self._step, self._without_image = window, 0, without_image
        try:
            yield
        finally:
            self._window, self._without_image = None, False

    def forward(
        self,
        x: list[Tensor],
        t: Tensor,
        cap_feats: list[Tensor],
        control_context: Tensor,
        conditioning_scale: float = 1.0,
    ) -> dict[int, Tensor] | None:
        """The hints of one step, or None. x: the latents of each sample, (channels, frames, H, W).

        control_context: (B, channels, frames, H, W): the control image's latents first, then for inpainting
        the inverted mask and the masked image's.
        """
        step, self._step = self._step, self._step + 1
        if self._window is not None and not self._window.controls(step):
            return None
        if self._without_image:
            channels, memo = x[0].shape[0], self.memo or Memo()
            control_context = memo.once(
                "silenced", (control_context,), lambda: _silenced(control_context, channels)
            )
        return super().forward(x, t, cap_feats, control_context, conditioning_scale=conditioning_scale)


def _silenced(control_context: Tensor, channels: int) -> Tensor:
    """A copy without the control image's own latents."""
    silenced = control_context.clone()
    silenced[:, :channels] = 0
    return silenced
