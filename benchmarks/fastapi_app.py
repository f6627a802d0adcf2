"""The FastAPI application that every ASGI server under measurement runs."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

fastapi = FastAPI()


@fastapi.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, Any]:
    """Answer some fields as JSON, with the number in the path."""
    return {
        "item_id": item_id,
        "name": "A table of oak",
        "price": 249.5,
        "in_stock": True,
        "tags": ["wood", "kitchen"],
    }
