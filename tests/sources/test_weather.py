"""What an error of a client library means, however deep it hides the one of the operating system."""

import errno

import httpx
import pytest

from evaluator.engine.samples import FailureReason
from evaluator.sources.weather import reason_of
from evaluator.testing.peers import nobody, peer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_is_there_for_a_client_that_tries_each_address(host: str) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.get(f"http://{host}:{nobody()}/")
    assert reason_of(caught.value) == (FailureReason.REFUSED, "nobody listens there")


async def test_a_reset_is_known_through_a_client() -> None:
    with peer(ending="reset") as broken:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            with pytest.raises(httpx.HTTPError) as caught:
                await client.get(f"http://{broken.host}:{broken.port}/")
    assert reason_of(caught.value) == (FailureReason.RESET, "the connection broke off")


def test_of_several_addresses_the_first_error_counts() -> None:
    each = [ConnectionRefusedError(errno.ECONNREFUSED, "refused"), TimeoutError()]
    error = OSError("All connection attempts failed")
    error.__cause__ = ExceptionGroup("multiple connection attempts failed", each)
    assert reason_of(error) == (FailureReason.REFUSED, "nobody listens there")
    assert reason_of(OSError("it says nothing")) is None
