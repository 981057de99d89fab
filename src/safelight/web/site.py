"""Every page's address, and the application with them."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from safelight.api.app import create_app
from safelight.api.services import Services
from safelight.web import (
    catalogue,
    device,
    docs,
    error_pages,
    login,
    operator,
    operator_accounts,
    playground,
    profile,
    static_files,
)


class Site:
    """The pages, as the application takes them."""

    routes = (
        Route("/", catalogue.catalogue),
        Route("/login", login.login_form, methods=["GET"]),
        Route("/login", login.log_in, methods=["POST"]),
        Route("/logout", login.log_out, methods=["POST"]),
        Route("/preferences", login.prefer, methods=["POST"]),
        Route("/models/{model_id:path}/api.md", docs.markdown),
        Route("/models/{model_id:path}/api", docs.page),
        Route("/models/{model_id:path}", playground.playground),
        Route("/device", device.device, methods=["GET"]),
        Route("/device", device.decide, methods=["POST"]),
        Route("/profile", profile.profile),
        Route("/profile/keys", profile.create_key, methods=["POST"]),
        Route("/profile/keys/{key_id}/revoke", profile.revoke_key, methods=["POST"]),
        Route("/profile/password", profile.set_password, methods=["POST"]),
        Route("/operator", operator.overview),
        Route("/operator/accounts", operator_accounts.accounts, methods=["GET"]),
        Route("/operator/accounts", operator_accounts.create_account, methods=["POST"]),
        Route("/operator/accounts/{account_id}", operator_accounts.account, methods=["GET"]),
        Route("/operator/accounts/{account_id}/limits", operator_accounts.set_limits, methods=["POST"]),
        Route("/operator/accounts/{account_id}/credits", operator_accounts.give_credits, methods=["POST"]),
        Route("/operator/accounts/{account_id}/keys", operator_accounts.create_key, methods=["POST"]),
        Route(
            "/operator/accounts/{account_id}/keys/{key_id}/revoke",
            operator_accounts.revoke_key,
            methods=["POST"],
        ),
        Route("/static/{path:path}", static_files.static_file),
    )

    async def error_page(self, request: Request, error: Exception) -> Response | None:
        """See `error_pages`."""
        return await error_pages.error_page(request, error)


def create_site(services: Services) -> FastAPI:
    """The API with the pages on top."""
    return create_app(services, Site())
