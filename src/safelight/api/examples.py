"""The pictures of the examples."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from safelight.api.documentation import IMAGES, documented, in_path
from safelight.api.files import IMAGE_HEADERS
from safelight.errors import NotFound
from safelight.examples import PATH, picture
from safelight.texts import Text

router = APIRouter()


@router.get(f"{PATH}{{name}}", **documented(IMAGES, "files", in_path("name"), needs_key=False))
async def example(request: Request) -> Response:
    """Give a picture to try a model with; its URL works in any image field, and no key is needed."""
    content = picture(request.path_params["name"])
    if content is None:
        raise NotFound(Text("There is no such example.", "그런 예제가 없습니다."))
    return Response(content, 200, IMAGE_HEADERS | {"cache-control": "public, max-age=3600"}, "image/png")
