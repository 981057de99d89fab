"""All settings: one frozen object, read once at the edge and passed down.

Environment variables (`SAFELIGHT_…`) come first, then `safelight.toml` in the data folder; flags of `serve`
and `worker` go on top. A setting that makes no sense is refused at start with its name and what would work.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from safelight.credits.pricing import Pricing, read_pricing
from safelight.errors import SettingsError

PREFIX = "SAFELIGHT_"
DEFAULT_HUB = "https://huggingface.co"
CONFIG_NAME = "safelight.toml"


class WeightsChoice(StrEnum):
    """Which weights to run. `auto` takes real ones that are on disk and fit the device, else nano."""

    AUTO = "auto"
    NANO = "nano"
    REAL = "real"


class Precision(StrEnum):
    """How the large real weights are kept in memory; what is computed is bf16 either way."""

    BF16 = "bf16"
    FP8 = "fp8"


class WanBackend(StrEnum):
    """What draws for Wan 2.6. `auto` is its vendor's API where there is a key for it, else the stand-in."""

    AUTO = "auto"
    LOCAL = "local"
    UPSTREAM = "upstream"


class Settings(BaseSettings):
    """What an operator can set. The descriptions are the documentation's (`docs/settings.md`)."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address the server listens on.")
    port: int = Field(8000, ge=0, le=65535, description="Port the server listens on; 0 takes a free one.")
    data_dir: Path = Field(
        Path("~/.safelight"), description="Folder of the database, inputs, outputs and the key file."
    )
    database_url: str = Field(
        "", description="postgresql://user:password@host/name; empty: SQLite in the data folder."
    )
    public_url: str = Field(
        "",
        description="Base of the URLs in answers, such as https://images.example.org; empty: the request's.",
    )
    api_key: SecretStr | None = Field(
        None,
        description="For serve: the owner's first key, 32 or more printable characters; else one is made. "
        "For commands: the key to send.",
    )
    base_url: str = Field("", description="For commands: the server to talk to; empty: this machine's.")
    weights: WeightsChoice = Field(WeightsChoice.AUTO, description="auto, nano or real.")
    device: str = Field("auto", description="auto, cpu or cuda.")
    workers: int = Field(
        1, ge=0, le=64, description="Workers that serve starts for each GPU, else for the CPU; 0: none."
    )
    memory_gib: float | None = Field(
        None, gt=0, description="What each worker's loaded weights may take up; none: a share of the memory."
    )
    models_dir: Path | None = Field(None, description="A folder of your own model files; see adding-a-model.")
    lora_dir: Path | None = Field(
        None, description="A folder of LoRA files that requests may name by path; none: local paths are off."
    )
    lora_cache_gb: float = Field(20, gt=0, description="How much fetched LoRA files may take up, in GB.")
    hub_url: str = Field(DEFAULT_HUB, description="The hub that owner/repo refers to, or a mirror of it.")
    hub_token: SecretStr | None = Field(
        None,
        description="Your token of the hub, for `models pull` alone; none: the one its client has saved.",
    )
    weights_dir: Path | None = Field(
        None,
        description="Where real weights lie, in the layout of the hub's client; none: weights/ in the "
        "data folder.",
    )
    precision: Precision = Field(
        Precision.BF16, description="How real weights are kept on a GPU: bf16, or fp8 in half the memory."
    )
    compile: bool = Field(
        True,
        description="Compile real networks on a GPU: the first picture takes longer, once, the others less.",
    )
    retention: str = Field(
        "30d", description="How long uploads, inputs and outputs are kept: 30d, 12h, or forever."
    )
    upload_quota_mb: int = Field(
        5000,
        ge=1,
        description="What the uploads of one account may take up, in MB; the owner has no bound.",
    )
    fetch_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host:port, comma-separated: private hosts that may be fetched from, http included."
    )

    pricing: Annotated[Pricing, NoDecode] = Field(
        Pricing(), description="Prices: a TOML or JSON file, or the text itself; none: everything is free."
    )

    wan_backend: WanBackend = Field(
        WanBackend.AUTO,
        description="What draws Wan 2.6: upstream, local, or auto (upstream where it has a key).",
    )
    wan_api_key: SecretStr | None = Field(None, description="Your key for the API of Wan's vendor.")
    wan_base_url: str = Field(
        "https://dashscope-intl.aliyuncs.com/api/v1",
        description="That API's address: regions have their own.",
    )

    @field_validator("pricing", mode="before")
    @classmethod
    def _prices(cls, value: Any) -> Any:
        return value if isinstance(value, Pricing) else read_pricing(value)

    @field_validator("data_dir", "models_dir", "lora_dir", "weights_dir")
    @classmethod
    def _expanded(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else value

    @field_validator("data_dir", mode="after")
    @classmethod
    def _a_folder(cls, value: Path) -> Path:
        if value.exists() and not value.is_dir():
            raise ValueError(f"{value} is a file; name a folder")
        return value

    @field_validator("models_dir", "lora_dir", mode="after")
    @classmethod
    def _an_existing_folder(cls, value: Path | None) -> Path | None:
        if value and not value.is_dir():
            raise ValueError(f"{value} is no folder")
        return value

    @field_validator("database_url")
    @classmethod
    def _a_known_database(cls, value: str) -> str:
        if value and not re.match(r"(postgresql://|postgres://|sqlite:///)", value):
            raise ValueError("must start with postgresql:// or sqlite:///")
        return value

    @field_validator("public_url", "base_url", "hub_url", "wan_base_url")
    @classmethod
    def _an_http_url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ValueError("must look like https://images.example.org")
        return value.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _a_strong_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.fullmatch(r"[!-~]{32,255}", value.get_secret_value()):
            raise ValueError("must be 32 to 255 printable characters without spaces")
        return value

    @field_validator("device")
    @classmethod
    def _a_known_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("must be auto, cpu, cuda or cuda:0, cuda:1, …")
        return value

    @field_validator("retention")
    @classmethod
    def _a_duration(cls, value: str) -> str:
        if not re.fullmatch(r"forever|0*[1-9]\d{0,4}[hd]", value):
            raise ValueError("must be a number of hours or days, such as 12h or 30d, or forever")
        return value

    @field_validator("fetch_allow", mode="before")
    @classmethod
    def _host_port_pairs(cls, value: Any) -> Any:
        pairs = value.split(",") if isinstance(value, str) else value
        pairs = tuple(pair.strip().lower() for pair in pairs if pair.strip())
        for pair in pairs:
            if not re.fullmatch(r"[a-z0-9.:\[\]-]+:\d{1,5}", pair):
                raise ValueError(f"{pair!r} must be host:port, such as nas.local:8080")
        return pairs

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the file in the data folder."""
        flag = init_settings.init_kwargs.get("data_dir")  # type: ignore[attr-defined]
        folder = Path(flag or os.environ.get(PREFIX + "DATA_DIR") or "~/.safelight").expanduser()
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, folder / CONFIG_NAME)

    @field_validator("wan_api_key", "hub_token")
    @classmethod
    def _a_key_for_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.fullmatch(r"[!-~]{1,500}", value.get_secret_value()):
            raise ValueError("must be printable characters without spaces")
        return value

    @model_validator(mode="after")
    def _a_key_for_the_upstream(self) -> Self:
        if self.wan_backend is WanBackend.UPSTREAM and not self.wan_api_key:
            raise ValueError("WAN_BACKEND: upstream needs SAFELIGHT_WAN_API_KEY; auto and local do not")
        return self

    @property
    def asks_wan(self) -> bool:
        """Whether Wan's own API draws for it."""
        return bool(self.wan_api_key) and self.wan_backend is not WanBackend.LOCAL

    @property
    def keeps_for(self) -> timedelta | None:
        """How long files are kept; None: for ever."""
        if self.retention == "forever":
            return None
        number = int(self.retention[:-1])
        return timedelta(days=number) if self.retention.endswith("d") else timedelta(hours=number)

    @property
    def database(self) -> str:
        """The database's URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'safelight.db'}"

    @property
    def files_dir(self) -> Path:
        """Where inputs and outputs are stored."""
        return self.data_dir / "files"

    @property
    def weights_folder(self) -> Path:
        """Where real weights lie."""
        return self.weights_dir or self.data_dir / "weights"

    @property
    def lock_file(self) -> Path:
        """Which commits of real weights are held, and the hashes of their files."""
        return self.data_dir / "weights.lock"

    @property
    def key_file(self) -> Path:
        """Where the owner's first key is saved, mode 0600."""
        return self.data_dir / "api-key"

    @property
    def login_file(self) -> Path:
        """Where `login` keeps a server and the key to it, mode 0600."""
        return self.data_dir / "login.json"

    @property
    def saved_key(self) -> str:
        """The key that the first start saved on this machine; empty where there is none to read."""
        return self.key_file.read_text().strip() if os.access(self.key_file, os.R_OK) else ""


def local_url(host: str, port: int) -> str:
    """Where this machine reaches a server that listens on this host and port."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def read_settings(**flags: Any) -> Settings:
    """Read the settings; flags that are None count as not given. Raises SettingsError."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("\n".join(_complaint(problem) for problem in error.errors())) from None


def _complaint(problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # of several settings together: it names them
        return PREFIX + str(message)
    name = PREFIX + "_".join(str(part) for part in problem["loc"][:1]).upper()
    if problem["type"] == "extra_forbidden":
        known = ", ".join(sorted(Settings.model_fields))
        return f"{problem['loc'][0]} in {CONFIG_NAME} is no setting; known are {known}"
    return f"{name}: {message}"
