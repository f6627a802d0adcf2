"""The FastAPI application that every ASGI server under measurement runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query

fastapi = FastAPI()


@fastapi.get("/items/{item_id}", response_model=None)
async def item(item_id: int, limit: Annotated[int, Query(ge=1, le=100)] = 10) -> dict[str, Any]:
    """Answer some fields as JSON, after the number in the path and the one behind ``?``."""
    return {
        "item_id": item_id,
        "limit": limit,
        "name": "A table of oak",
        "price": 249.5,
        "in_stock": True,
        "tags": ["wood", "kitchen"],
    }
