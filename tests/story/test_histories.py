"""Thousands of short histories in which the whole rule language happens at once, against the independent model.

The same generator as hypothesis has, with quicker dice and no shrinking; `python -m tests.story.many` plays more.
"""

import pytest

from tests.story.many import batch, report

EACH = 470
"""With what hypothesis tries, `BATCHES` times these are ten thousand."""
BATCHES = 20


@pytest.mark.parametrize("number", range(BATCHES))
def test_the_model_and_the_real_thing_agree_on_short_histories(number: int) -> None:
    played, wrong = batch(range(number * EACH, (number + 1) * EACH), "ci")
    assert played == EACH
    assert wrong == [], report(wrong[0])
