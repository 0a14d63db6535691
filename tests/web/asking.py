"""Asking an app without a socket, as if from some address."""

from typing import Any

import httpx
from pydantic import SecretStr

from evaluator.telemetry.metrics import Metrics
from evaluator.web.app import make_app
from evaluator.web.view import Snapshot, View
from tests.web.snapshots import NIGHT, FrozenView


async def ask(
    path: str,
    shown: Snapshot = NIGHT,
    *,
    view: View | None = None,
    at: str = "http://127.0.0.1:9464",
    method: str = "GET",
    token: str | None = None,
    metrics: Metrics | None = None,
    headers: dict[str, Any] | None = None,
    content: bytes | None = None,
) -> httpx.Response:
    """Ask once. `at` is where the request arrives; a `Host` header may still say something else."""
    app = make_app(view or FrozenView(shown), metrics or Metrics(), token=SecretStr(token) if token else None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=at) as client:
        return await client.request(method, path, headers=headers, content=content)


async def data(path: str, shown: Snapshot = NIGHT, *, view: View | None = None) -> Any:  # noqa: ANN401  # JSON.
    """Return the data of an endpoint that must answer well."""
    response = await ask(path, shown, view=view)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert body["status"] == "success"
    return body["data"]
