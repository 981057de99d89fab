"""Forms: their fields, from a page of ours and within bounds."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from safelight.api.browser import check_origin
from safelight.api.guards import headers_of
from safelight.api.services import services
from safelight.errors import BodyTooLarge, InvalidInput, SafelightError
from safelight.texts import Language

MAX_FORM_BYTES = 8 * 1024


class Form:
    """What was sent: `first` of a field's values, or `all` of them."""

    def __init__(self, fields: dict[str, list[str]]) -> None:
        self._fields = fields

    def first(self, name: str) -> str:
        """The field's value; empty when it was not sent."""
        return self._fields.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Every value of a field of checkboxes."""
        return self._fields.get(name, [])

    def number(self, name: str) -> int | float | str | None:
        """A number as JSON would have it; None when nothing was written, the text when it is no number."""
        text = self.first(name).strip().replace(",", "")
        if not text:
            return None
        try:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            return text


async def read_form(request: Request) -> Form:
    """The form of a request. Raises Forbidden and BodyTooLarge."""
    check_origin(headers_of(request.scope), services(request).settings.public_url)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise BodyTooLarge
    return Form(parse_qs(body.decode("utf-8", "replace")))


def problems_of(error: SafelightError, language: Language) -> dict[str, str]:
    """What to say at which field; under the empty name what is about the whole form."""
    if isinstance(error, InvalidInput) and error.fields:
        return {problem.field.split("[")[0]: problem.within(language) for problem in error.fields}
    return {"": error.text.within(language)}


def told_to_wait(response: Response, error: SafelightError) -> Response:
    """The answer to a form that was refused, with when to try again, where that is known."""
    if error.retry_after_s is not None:
        response.headers["retry-after"] = str(error.retry_after_s)
    return response
