"""What a model is: one class that says everything about it.

Catalogue entry, validation, published schema, form, quote and contract tests all follow from the class. torch
and diffusers are imported inside `load` and `generate` alone: the API process reads this module too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, get_args

from safelight.errors import FieldProblem, InvalidInput, Unavailable
from safelight.inputs import PIXELS, ModelInput
from safelight.loras.references import LoraFile, LoraUse
from safelight.prices import Price, Quote, Unit, quote
from safelight.texts import Text

if TYPE_CHECKING:
    import torch
    from PIL import Image

Component = TypeVar("Component")

MAGIC_PROMPT_PRICE = Decimal("0.0025")
"""In US dollars, as the schemas' descriptions say."""

WEIGHTS_SUFFIXES = (".safetensors", ".json", ".txt", ".jinja")
"""What a repository's part is made of: tensors, configurations, tokenizers."""

MAGIC_PROMPT_FIELDS = ("enable_prompt_expansion", "prompt_extend")

LARGEST_AUTO = (1024, 1024)
"""As many pixels as an output has at most whose size the input images decide."""

NANO_DIR = Path(__file__).parents[1] / "nano"
"""Where the nano weights that ship with Safelight are."""


@dataclass(frozen=True)
class Part:
    """One folder of weights: a hub repository (or, for nano, a folder in the package) and a folder in it.

    file: where the part is a single file, a pattern that no other file of the repository matches.
    parameters: how many numbers it holds, where that is known before it is here.
    """

    repo: str
    folder: str = ""
    file: str = ""
    parameters: int = 0

    def wants(self, path: str) -> bool:
        """Whether a file of the repository belongs to it; pickles, programs and pictures never do."""
        if self.file:
            return fnmatchcase(path, self.file)
        folder, _, name = path.rpartition("/")
        return folder == self.folder and name.endswith(WEIGHTS_SUFFIXES)


@dataclass(frozen=True)
class Weights:
    """Where a model's components come from, by the pipeline's own component names.

    optional: those that only some requests need.
    """

    real: Mapping[str, Part]
    nano: Mapping[str, Part] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    def missing_nano(self) -> tuple[str, ...]:
        """The folders of the nano weights that this installation lacks and cannot do without."""
        needed = [name for name in self.nano if name not in self.optional and not self.has_nano(name)]
        return tuple(str(Path(self.nano[name].repo, self.nano[name].folder)) for name in needed)

    def has_nano(self, name: str) -> bool:
        """Whether the nano weights of a part are installed."""
        part = self.nano.get(name)
        return part is not None and (NANO_DIR / part.repo / part.folder).is_dir()


@dataclass(frozen=True)
class Vocabulary:
    """What weights of a bounded world know: all words, and those of things and colours among them."""

    words: frozenset[str]
    names: frozenset[str]


class LoadContext(Protocol):
    """What a model may use to load itself; `engine/weights.py` provides it."""

    @property
    def device(self) -> torch.device:
        """Where the components are put."""
        ...

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words that the weights were trained on; None: there is no such bound."""
        ...

    def has(self, name: str) -> bool:
        """Whether these weights have a part of that name."""
        ...

    @property
    def weights_name(self) -> str:
        """`real` or `nano`."""
        ...

    def part(self, name: str, kind: type[Component]) -> Component:
        """Load one component by its name in `Weights`; components that models share are loaded once.

        kind: its class, or one that several classes of components are known by: then its configuration says
        which of them it is.
        """
        ...

    def values(self, name: str) -> Mapping[str, Any]:
        """What the JSON file of a part says; nothing where these weights have no such part."""
        ...


@dataclass
class RunReport:
    """What a run tells beside its images and notes: what became of each LoRA, and of the prompt."""

    loras: list[LoraUse] = field(default_factory=list)
    expanded_prompt: str | None = None


@dataclass
class Run:
    """What one execution may touch.

    images: by input field, decoded, upright, RGB. on_step(step, steps): report a finished step, counted from
    1; it raises to stop the run. note(sentence): tell the caller what had no effect or was cut. loras: those
    of the input, checked, in its order. show(image): what it looks like so far, small, RGB, before `on_step`;
    None: nobody looks. report: what else the result shall say. torch is imported only for a model that asks
    for `device` or `generator`.
    """

    context: LoadContext
    seed: int
    images: Mapping[str, Sequence[Image.Image]]
    on_step: Callable[[int, int], None]
    note: Callable[[str], None]
    loras: Sequence[LoraFile] = ()
    show: Callable[[Image.Image], None] | None = None
    report: RunReport = field(default_factory=RunReport)

    @property
    def device(self) -> torch.device:
        """Where the pipeline is."""
        return self.context.device

    @cached_property
    def generator(self) -> torch.Generator:
        """The source of this run's noise: on the CPU, so that the noise is the same on every device."""
        import torch

        return torch.Generator("cpu").manual_seed(self.seed)


class Model:
    """A model of the catalogue. Subclasses set every attribute; without `generate` it cannot run yet."""

    id: ClassVar[str]
    display_name: ClassVar[str]
    description: ClassVar[Text]
    categories: ClassVar[tuple[str, ...]]
    licence: ClassVar[str]
    price: ClassVar[Price] = Price()
    """Where the operator sets none."""
    pricing_note: ClassVar[Text] = Text("Free on your own machine.", "자신의 컴퓨터에서는 무료입니다.")
    weights: ClassVar[Weights]
    gpu_memory_gib: ClassVar[float]
    lora_part: ClassVar[str | None] = None
    """The part that LoRAs change, by its name in `weights`."""
    Input: ClassVar[type[ModelInput]]
    part_of_value: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    """Which optional part a field's value needs: the part's name by the value, by the field's name."""
    upstream: ClassVar[str] = ""
    """What draws for it in somebody else's API, where the operator has a key for that; empty: nothing."""

    def load(self, context: LoadContext) -> Any:
        """Build the pipeline from its parts."""
        raise Unavailable(_NO_ENGINE.after(self.id))

    def generate(self, pipeline: Any, request: Any, run: Run) -> list[Image.Image]:
        """Run the pipeline on a validated input. Returns RGB images of exactly the asked size."""
        raise Unavailable(_NO_ENGINE.after(self.id))

    def output_size(self, request: Any) -> tuple[int, int] | None:
        """The size in pixels that a validated input asks for; None: the input images decide."""
        return PIXELS.get(getattr(request, "image_size", ""))

    def sizes(self) -> list[tuple[int, int]]:
        """The sizes in pixels that its input names; none where the input images decide."""
        named = self.Input.model_fields.get("image_size")
        names = get_args(named.annotation) if named else ()
        found = (self.output_size(SimpleNamespace(image_size=name)) for name in names)
        return [size for size in found if size is not None]

    def output_count(self, request: Any) -> int:
        """How many images a validated input asks for, at most."""
        return 1

    def quote(self, request: Any, price: Price) -> Quote:
        """What a validated input costs."""
        size, count = self.output_size(request), self.output_count(request)
        magic = any(getattr(request, name, False) for name in MAGIC_PROMPT_FIELDS)
        extra = MAGIC_PROMPT_PRICE if magic else Decimal(0)
        is_certain = count == 1 and (price.unit is Unit.OUTPUT or size is not None)
        return quote(price, extra, [size or LARGEST_AUTO] * count, is_certain=is_certain)

    def note_on(self, price: Price) -> Text:
        """What to know about a price."""
        if not price.usd:
            return self.pricing_note
        magic = any(name in self.Input.model_fields for name in MAGIC_PROMPT_FIELDS)
        return _priced(price, magic)

    def check_installed(self, asked: ModelInput) -> None:
        """Judge whether the optional parts that an input needs are here; nano weights alone can lack one.

        Raises InvalidInput with the values that work.
        """
        for name, parts in self.part_of_value.items():
            lacking = {value for value, part in parts.items() if not self.weights.has_nano(part)}
            if getattr(asked, name) in lacking:
                values = get_args(type(asked).model_fields[name].annotation)
                working = [value for value in values if value not in lacking]
                message = _not_installed(getattr(asked, name), working)
                raise InvalidInput(message.after(f"{name} "), fields=(FieldProblem(name, message),))

    @classmethod
    def has_engine(cls) -> bool:
        """Whether this version can run the model."""
        return cls.generate is not Model.generate

    @classmethod
    def is_ready(cls) -> bool:
        """Whether this installation can run it: it has an engine, and its weights are there."""
        return cls.has_engine() and not cls.weights.missing_nano()


_UNITS = {
    Unit.OUTPUT: Text("image", "이미지당"),
    Unit.MEGAPIXEL: Text("megapixel", "메가픽셀당"),
    Unit.SECOND: Text("second of drawing", "그리는 시간 1초당"),
}


def _priced(price: Price, magic: bool) -> Text:
    unit = _UNITS[price.unit]
    more = (
        Text(f", magic prompt {MAGIC_PROMPT_PRICE} more", f", 매직 프롬프트 {MAGIC_PROMPT_PRICE} 추가")
        if magic
        else Text("", "")
    )
    usd = f"{price.usd.normalize():f}"
    return Text(f"{usd} credits per {unit.en}{more.en}.", f"{unit.ko} {usd} 크레딧{more.ko}.")


_NO_ENGINE = Text(" has no engine in this version.", "은(는) 이 버전에서 실행할 수 없습니다.")


def _not_installed(value: str, working: Sequence[str]) -> Text:
    listing = ", ".join(working)
    return Text(
        f"must be one of {listing}: the weights for {value} are not installed on this server",
        f"다음 중 하나여야 합니다: {listing}. 이 서버에는 {value}에 필요한 가중치가 설치되어 있지 않습니다",
    )
