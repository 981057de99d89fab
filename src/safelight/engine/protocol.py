"""What a worker's processes say to each other: length-prefixed JSON over pipes, no pickle.

The parent sends the child that draws `Setup` once, then `Generate` and `Stop`. It answers `Ready` once, then
for every `Generate` one `Begun`, one `Loaded`, any number of `Step`, and `Done`, `Failed` or `Stopped`. The
child that decodes says `Ready` too, and answers every `Decode` with `Begun`, then `Decoded` or `Failed`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from safelight.engine.pixels import RGB_BYTES, BrokenProtocol, Pixels, Size, strict
from safelight.errors import SafelightError
from safelight.jobs import Json, Preview
from safelight.loras.references import LoraFile, LoraUse

MAX_FRAME_BYTES = 16 * 2**20
LENGTH_BYTES = 4
MAX_THUMBNAIL_SIDE = 256
MAX_NOTE_CHARACTERS = 1000

Message = TypeVar("Message")

# --- What the parent says -----------------------------------------------------------------------------


@strict
@dataclass(frozen=True)
class RealWeights:
    """Which models draw with real weights, and where those are."""

    model_ids: list[str]
    folder: str
    lock_file: str
    precision: Literal["bf16", "fp8"]


@strict
@dataclass(frozen=True)
class Setup:
    """What the child needs to know before its first job. device: `auto`, `cpu`, `cuda` or `cuda:1`.

    memory_bytes: what models may take up on the device; None: a share of what there is. real: None: nano
    weights draw for every model. compile_dir: where compiled blocks are kept; None: nothing is compiled.
    """

    device: str
    models_dir: str | None
    memory_bytes: int | None = None
    real: RealWeights | None = None
    compile_dir: str | None = None
    kind: Literal["setup"] = "setup"


@strict
@dataclass(frozen=True)
class Generate:
    """Run one job. images: the input's, decoded, by field. folder: where the outputs go.

    loras: those of the input, in its order, checked and fetched.
    """

    job_id: str
    model_id: str
    input: Json
    images: dict[str, list[Pixels]]
    folder: str
    loras: list[LoraFile] = field(default_factory=list)
    kind: Literal["generate"] = "generate"


@strict
@dataclass(frozen=True)
class Decode:
    """Decode the image file at `path` into raw RGB bytes at `target`: the parent decodes nothing.

    backdrop: the colour that shows through where it is transparent. holes: its transparency is what is asked
    for, as a mask. scaled_to: the size that the pixels shall have; None: the image's own.
    """

    path: str
    target: str
    backdrop: str = "white"
    holes: bool = False
    scaled_to: Size | None = None
    kind: Literal["decode"] = "decode"


@strict
@dataclass(frozen=True)
class Stop:
    """End the job that runs at its next step."""

    kind: Literal["stop"] = "stop"


ModelId = Annotated[str, Field(max_length=200)]

# --- What the children say ----------------------------------------------------------------------------


@strict
@dataclass(frozen=True)
class Ready:
    """The child waits to be asked. confined: the kernel has taken its network away."""

    confined: bool
    kind: Literal["ready"] = "ready"


@strict
@dataclass(frozen=True)
class Begun:
    """The child has taken what was asked: what happens from now on may be the job's doing."""

    kind: Literal["begun"] = "begun"


@strict
@dataclass(frozen=True)
class Loaded:
    """The job's model is in memory; load_s seconds went into that. resident: all models that are."""

    load_s: float
    resident: Annotated[list[ModelId], Field(max_length=1000)]
    kind: Literal["loaded"] = "loaded"


@strict
@dataclass(frozen=True)
class Thumbnail:
    """What the image looks like so far. rgb: its raw bytes in base64."""

    width: Annotated[int, Field(ge=1, le=MAX_THUMBNAIL_SIDE)]
    height: Annotated[int, Field(ge=1, le=MAX_THUMBNAIL_SIDE)]
    rgb: Annotated[str, Field(max_length=4 * MAX_THUMBNAIL_SIDE**2)]

    @classmethod
    def of(cls, width: int, height: int, rgb: bytes) -> Thumbnail:
        """Wrap raw RGB bytes."""
        return cls(width, height, base64.b64encode(rgb).decode())

    @property
    def preview(self) -> Preview:
        """The picture in it. Raises BrokenProtocol unless it has as many bytes as its size says."""
        try:
            rgb = base64.b64decode(self.rgb, validate=True)
        except ValueError:
            raise BrokenProtocol("a preview is no base64") from None
        if len(rgb) != self.width * self.height * RGB_BYTES:
            raise BrokenProtocol("a preview has another size than was said")
        return Preview(self.width, self.height, rgb)


@strict
@dataclass(frozen=True)
class Step:
    """`step` of `steps` denoising steps are done. preview: what it looks like so far, if a model shows it."""

    step: Annotated[int, Field(ge=0, le=100_000)]
    steps: Annotated[int, Field(ge=1, le=100_000)]
    preview: Thumbnail | None = None
    kind: Literal["step"] = "step"


Note = Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)]


@strict
@dataclass(frozen=True)
class Done:
    """The outputs lie in the job's folder. notes: what had no effect or was cut.

    loras: what became of them. expanded_prompt: what magic prompt made of the prompt.
    """

    sizes: Annotated[list[Size], Field(min_length=1, max_length=16)]
    weights: Annotated[str, Field(max_length=50)]
    generate_s: float
    notes: Annotated[list[Note], Field(max_length=50)]
    loras: Annotated[list[LoraUse], Field(max_length=16)] = field(default_factory=list)
    expanded_prompt: Annotated[str, Field(max_length=20_000)] | None = None
    kind: Literal["done"] = "done"


@strict
@dataclass(frozen=True)
class Failed:
    """The job failed, in the words of one of the errors on the errors page."""

    code: Annotated[str, Field(max_length=50)]
    en: Note
    ko: Note
    kind: Literal["failed"] = "failed"

    @classmethod
    def of(cls, error: SafelightError) -> Failed:
        """Tell of an error."""
        return cls(error.code, error.text.en[:MAX_NOTE_CHARACTERS], error.text.ko[:MAX_NOTE_CHARACTERS])


@strict
@dataclass(frozen=True)
class Stopped:
    """The job ended because it was told to."""

    kind: Literal["stopped"] = "stopped"


@strict
@dataclass(frozen=True)
class Decoded:
    """The image's pixels lie where they were asked for. size: the image's own."""

    size: Size
    kind: Literal["decoded"] = "decoded"


FromParent = Setup | Generate | Decode | Stop
FromChild = Ready | Begun | Loaded | Step | Done | Failed | Stopped | Decoded

FROM_PARENT: TypeAdapter[FromParent] = TypeAdapter(Annotated[FromParent, Field(discriminator="kind")])
FROM_CHILD: TypeAdapter[FromChild] = TypeAdapter(Annotated[FromChild, Field(discriminator="kind")])


# --- Frames -------------------------------------------------------------------------------------------


def encode(message: FromParent | FromChild) -> bytes:
    """One frame: the length in four bytes, big-endian, then the message as JSON."""
    adapter: TypeAdapter[FromParent] | TypeAdapter[FromChild]
    adapter = FROM_PARENT if isinstance(message, FromParent) else FROM_CHILD
    body = adapter.dump_json(message)  # type: ignore[arg-type]
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def body_length(prefix: bytes) -> int:
    """The length that a frame announces. Raises BrokenProtocol when no frame is that long."""
    length = int.from_bytes(prefix, "big")
    if not 0 < length <= MAX_FRAME_BYTES:
        raise BrokenProtocol(f"a frame of {length} bytes")
    return length


def decode_from_parent(body: bytes) -> FromParent:
    """The message in a frame's body. Raises BrokenProtocol."""
    return _decode(FROM_PARENT.validate_json, body)


def decode_from_child(body: bytes) -> FromChild:
    """The message in a frame's body. Raises BrokenProtocol."""
    return _decode(FROM_CHILD.validate_json, body)


def _decode(validate: Callable[[bytes], Message], body: bytes) -> Message:
    try:
        return validate(body)
    except ValidationError as error:
        # The details name the input, which may be a prompt.
        raise BrokenProtocol(f"no message: {error.error_count()} problems") from None
