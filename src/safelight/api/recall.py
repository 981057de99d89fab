"""What a request was made of, as it can be sent again: stored pictures by their URLs."""

from __future__ import annotations

from starlette.requests import Request

from safelight.api.services import base_url, services
from safelight.api.wire import file_url
from safelight.errors import ModelNotFound
from safelight.inputs import FILE_SCHEME, HOLES_SCHEME, image_fields
from safelight.jobs import Job, Json

_LOST = "image/png"
"""Stands in for the type of a file whose record is gone: its URL answers 404 either way."""


async def input_of(request: Request, job: Job) -> Json:
    """A job's input, settled. A picture that came in the body has its URL instead."""
    shown = dict(job.input)
    try:
        model = services(request).catalogue.get(job.model_id)
    except ModelNotFound:
        return shown
    for name in image_fields(model.Input):
        value = shown.get(name)
        if isinstance(value, list):
            shown[name] = [await _address(request, one) for one in value]
        elif isinstance(value, str):
            shown[name] = await _address(request, value)
    return shown


async def _address(request: Request, named: str) -> str:
    for scheme in (FILE_SCHEME, HOLES_SCHEME):
        if named.startswith(scheme):
            file_id = named.removeprefix(scheme)
            file = await services(request).store.file(file_id)
            return file_url(file_id, file.content_type if file else _LOST, base_url(request))
    return named
