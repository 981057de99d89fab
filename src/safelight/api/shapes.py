"""The shapes of the answers, for the OpenAPI document alone: `wire.py` builds the answers themselves."""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict


class Submitted(TypedDict):
    """A request was accepted."""

    request_id: str
    status_url: str
    result_url: str
    cancel_url: str


class RequestStatus(TypedDict):
    """Where a request is; `queue_position` 0 is next."""

    request_id: str
    status: Literal["in_queue", "in_progress", "completed", "cancelled"]
    queue_position: NotRequired[int]
    status_url: str
    result_url: str


class Output(TypedDict, total=False):
    """URLs of what was made: a single image is `image`, several are `images`."""

    image: str
    images: list[str]
    video: str
    videos: list[str]


class Failure(TypedDict):
    """Why a request failed."""

    code: str
    message: str


class UsedLora(TypedDict):
    """What became of a LoRA: `matched` of the `expected` modules that its file changes."""

    path: str
    kind: Literal["lora", "controlnet"]
    scale: float
    matched: int
    expected: int
    substituted: bool


class Result(TypedDict):
    """What came out of a request; timings are seconds per stage."""

    request_id: str
    status: Literal["in_queue", "in_progress", "succeeded", "failed", "cancelled"]
    output: NotRequired[Output]
    expires_at: NotRequired[str]
    error: NotRequired[Failure]
    created_at: str
    finished_at: str | None
    model_id: str
    cost: NotRequired[float]
    seed: NotRequired[int]
    weights: NotRequired[str]
    timings: NotRequired[dict[str, float]]
    notes: NotRequired[list[str]]
    loras: NotRequired[list[UsedLora]]
    expanded_prompt: NotRequired[str]
    backend: NotRequired[Literal["local", "upstream"]]
    input: NotRequired[dict[str, Any]]


class Cancellation(TypedDict):
    """What a cancellation came to; `cancelling` ends at the next step of what runs."""

    request_id: str
    status: Literal["in_queue", "in_progress", "completed", "cancelled"]
    outcome: Literal["cancelled", "cancelling", "not_cancellable"]


class RequestList(TypedDict):
    """Requests, the newest first; `next_cursor` leads to those that came before."""

    requests: list[Result]
    next_cursor: str | None


class Upload(TypedDict):
    """A stored image; `url` goes into any image field."""

    id: str
    url: str
    content_type: str
    size_bytes: int
    created_at: str
    expires_at: str | None


class UploadList(TypedDict):
    """Uploads, the newest first; `next_cursor` leads to those that came before."""

    files: list[Upload]
    next_cursor: str | None


class Deleted(TypedDict):
    """Something was deleted."""

    id: str
    deleted: Literal[True]


class WebhookSecret(TypedDict):
    """What deliveries are signed with: HMAC-SHA256 over the timestamp, a full stop and the body."""

    secret: str
    created_at: str


class DeliveryTry(TypedDict):
    """One try at a delivery; no `http_status`: the receiver gave no answer."""

    at: str
    http_status: int | None
    seconds: float


class Delivery(TypedDict):
    """Where the delivery of an event is."""

    event_id: str
    event: Literal["status", "done"]
    request_id: str
    status: Literal["in_queue", "in_progress", "completed", "cancelled"]
    url: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    created_at: str
    next_attempt_at: str | None
    delivered_at: str | None
    tries: NotRequired[list[DeliveryTry]]


class DeliveryList(TypedDict):
    """Deliveries, the newest first; `next_cursor` leads to those that came before."""

    deliveries: list[Delivery]
    next_cursor: str | None


class Entry(TypedDict):
    """One model of the catalogue."""

    model_id: str
    display_name: str
    description: str
    categories: list[str]
    kind: Literal["model"]
    base_price_usd: float
    price_unit: Literal["output", "megapixel", "second"]
    pricing_note: str
    weights: str | None
    ready: bool
    licence: str
    input_schema: NotRequired[dict[str, Any]]
    output_schema: NotRequired[dict[str, Any]]


class ModelReference(TypedDict):
    """A model as image front ends list it."""

    id: str
    object: Literal["model"]


class CataloguePage(TypedDict):
    """One page of the catalogue."""

    models: list[Entry]
    total: int
    object: Literal["list"]
    data: list[ModelReference]


class Categories(TypedDict):
    """Every category that a model is in."""

    categories: list[str]


class Balance(TypedDict):
    """What the account may spend; `unmetered` accounts pay nothing."""

    balance_usd: float
    currency: Literal["USD"]
    held_usd: NotRequired[float]
    unmetered: NotRequired[bool]


class Quoted(Balance):
    """What a request would cost, and what there is. at_most: the outcome decides, up to `cost`."""

    cost: float
    at_most: bool


class OpenAIImage(TypedDict):
    """An image as the OpenAI API gives it, and our request that made it."""

    request_id: str
    url: NotRequired[str]
    b64_json: NotRequired[str]
    revised_prompt: NotRequired[str]


class OpenAIImages(TypedDict):
    """Images as the OpenAI API gives them."""

    created: int
    data: list[OpenAIImage]
    background: Literal["opaque"]
    output_format: Literal["png", "jpeg", "webp"]
    size: str


class Me(TypedDict):
    """Whose key this is, or whose session."""

    id: str
    email: str
    token_type: Literal["api_key", "session"]


class Health(TypedDict):
    """How the process is."""

    status: Literal["ok", "ready"]


class DeviceLogin(TypedDict):
    """A login that waits: show the code, open the URL, poll with the device's secret."""

    device_code: str
    user_code: str
    verify_url: str
    expires_in: int
    poll_interval: int


class LoginState(TypedDict):
    """Where a login is. The key comes once; `denied` and `expired` are told with 410."""

    status: Literal["pending", "authorized"]
    access_token: NotRequired[str]


class LoginDecided(TypedDict):
    """What a login was decided to be."""

    status: Literal["authorized", "denied"]


class FieldRefused(TypedDict):
    """One field that was refused."""

    field: str
    message: str


class ErrorDetail(TypedDict):
    """An error for people and programs."""

    code: str
    message: str
    fields: NotRequired[list[FieldRefused]]


class ErrorBody(TypedDict):
    """The shape of every error."""

    error_code: int
    error_message: str
    error: ErrorDetail
