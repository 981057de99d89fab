"""Models that need no weights: one that does nothing, one of each kind of misbehaviour."""

import contextlib
import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any, ClassVar

from PIL import Image

from safelight.inputs import (
    ImageUrl,
    Integer,
    LocalLoraRef,
    MaskUrl,
    ModelInput,
    OutputFormat,
    Seed,
    field,
)
from safelight.models.base import LoadContext, Model, Run, Weights
from safelight.prices import Price
from safelight.texts import Text


class SmallInput(ModelInput):
    prompt: str = field(Text("Prompt", "프롬프트"), default="nothing")
    num_inference_steps: Integer = field(Text("Steps", "단계 수"), default=2, ge=1, le=1000)
    seed: Seed = field(Text("Seed", "시드"), default=0)
    output_format: OutputFormat = field(Text("Output Format", "출력 형식"), default="png")


class SizedInput(SmallInput):
    image_size: str = field(Text("Size", "크기"), default="square")


class PictureInput(SmallInput):
    image_url: ImageUrl = field(Text("Image", "이미지"))


class MaskedInput(PictureInput):
    mask_image_url: MaskUrl = field(Text("Mask", "마스크"))


class LoraInput(SmallInput):
    loras: list[LocalLoraRef] = field(Text("LoRAs", "LoRA"), optional_list=True, max_length=3)


class Instant(Model):
    """Does nothing: returns a picture at once."""

    id = "test/instant"
    display_name = "Instant"
    description = Text("Returns a picture at once.", "즉시 이미지를 반환합니다.")
    categories: ClassVar[tuple[str, ...]] = ("text-to-image",)
    licence = "Apache-2.0"
    price = Price()
    weights = Weights(real={}, nano={})
    gpu_memory_gib = 0.0
    Input: ClassVar[type[ModelInput]] = SmallInput

    def load(self, context: LoadContext) -> Any:
        return None

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        run.on_step(1, 1)
        return [Image.new("RGB", (16, 16), (run.seed % 256, 0, 0))]


class Echo(Instant):
    """Returns the picture that it was given."""

    id = "test/echo"
    Input = PictureInput

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        run.on_step(1, 1)
        return list(run.images["image_url"])


class ShowsMask(Instant):
    """Returns the mask that it was given."""

    id = "test/mask"
    Input = MaskedInput

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        run.on_step(1, 1)
        return list(run.images["mask_image_url"])


class TakesLoras(Instant):
    """Takes LoRAs, and has no weights that they could change."""

    id = "test/loras"
    Input = LoraInput


class Slow(Instant):
    """Sleeps a tenth of a second at each step."""

    id = "test/slow"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        for step in range(request.num_inference_steps):
            time.sleep(0.1)
            run.on_step(step + 1, request.num_inference_steps)
        return [Image.new("RGB", (16, 16))]


class IgnoresStop(Instant):
    """Goes on whatever it is told."""

    id = "test/ignores-stop"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        for step in range(1000):
            time.sleep(0.1)
            with contextlib.suppress(BaseException):
                run.on_step(step + 1, 1000)
        return [Image.new("RGB", (16, 16))]


class Raises(Instant):
    """Raises an error whose message is nobody's business."""

    id = "test/raises"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        raise RuntimeError("/secret/path: cannot multiply 3x4 by 5x6")


class BreaksDevice(Instant):
    """Fails as CUDA does when every later call will fail too."""

    id = "test/breaks-device"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        raise RuntimeError("CUDA error: device-side assert triggered")


class BreaksDeviceOnce(Instant):
    """Breaks its device, unless the file that its prompt names says that it did before."""

    id = "test/breaks-device-once"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        if not os.path.exists(request.prompt):
            open(request.prompt, "w").close()
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return super().generate(pipeline, request, run)


class HangsOnce(BreaksDeviceOnce):
    """Hangs where that one breaks its device."""

    id = "test/hangs-once"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        try:
            return super().generate(pipeline, request, run)
        except RuntimeError:
            time.sleep(10_000)
            raise


class RunsOutOfMemory(Instant):
    id = "test/runs-out-of-memory"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        raise MemoryError


class FillsDisk(Instant):
    id = "test/fills-disk"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class CannotLoad(Instant):
    id = "test/cannot-load"

    def load(self, context: LoadContext) -> Any:
        raise FileNotFoundError("/secret/weights")


class Hangs(Instant):
    """Sleeps for ever."""

    id = "test/hangs"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        run.on_step(1, 2)
        time.sleep(10_000)
        return []


class HangsInC(Instant):
    """Sleeps for ever in a C call that holds Python's lock, so that no other thread runs."""

    id = "test/hangs-in-c"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        run.on_step(1, 2)
        ctypes.PyDLL(None).sleep(10_000)
        return []


class KillsItself(Instant):
    id = "test/kills-itself"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        os.kill(os.getpid(), signal.SIGKILL)
        return []


class Exits(Instant):
    id = "test/exits"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        sys.exit(0)


class ReturnsNothing(Instant):
    id = "test/returns-nothing"

    def generate(self, pipeline: Any, request: Any, run: Run) -> Any:
        return None


class ReturnsNumbers(Instant):
    id = "test/returns-numbers"

    def generate(self, pipeline: Any, request: Any, run: Run) -> Any:
        return [[0, 0, 0]]


class ReturnsWrongSize(Instant):
    id = "test/returns-wrong-size"
    Input = SizedInput


class Prints(Instant):
    """Prints megabytes, what looks like the protocol among them."""

    id = "test/prints"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        print("\0\0\0\2{}" * 200_000)
        os.write(1, b"\0\0\0\2{}" * 1000)
        return super().generate(pipeline, request, run)


class Tells(Instant):
    """Tells the names in its environment, and whether it reaches the port that its prompt names."""

    id = "test/tells"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        run.note(" ".join(sorted(os.environ)))
        run.note(f"torch: {'torch' in sys.modules}")
        if request.prompt.isdigit():
            run.note(_reach(int(request.prompt)))
        return super().generate(pipeline, request, run)


def _reach(port: int) -> str:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return "unreachable"
    return "reached"


class LeavesProcess(Instant):
    """Starts a process that would live for hours, then hangs; tells its id in a file."""

    id = "test/leaves-process"

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        sleeper = subprocess.Popen(["sleep", "10000"])
        with open(request.prompt, "w") as file:
            file.write(str(sleeper.pid))
        run.on_step(1, 2)
        time.sleep(10_000)
        return []
