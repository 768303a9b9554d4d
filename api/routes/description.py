"""The API's own description, for whoever holds a token: nothing but health is open to everybody."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from api.context import PREFIX, Caller

router = APIRouter(prefix=PREFIX, include_in_schema=False)


@router.get("/openapi.json")
async def openapi(request: Request, owner: Caller) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document: dict[str, Any] = request.app.openapi()
    return document
