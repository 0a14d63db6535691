"""No secret is in any problem, picture or repr, however wrong the file is that holds it."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evaluator.config.load import Loaded, load
from evaluator.config.problems import render_plain
from evaluator.config.secrecy import mask
from tests.config.conftest import PLUGINS

Loader = Callable[..., Loaded]
SECRET = "s3cr3tV4lue0123456789abcdefABCDE"
WRONG = [
    '[web]\ntoken = "{}"\nlisten = 5\n',
    "[web]\ntoken = {}\n",
    '[web]\ntoken = "{}\n',
    "[web]\ntoken = “{}”\n",
    '[web]\ntoken: "{}"\n',
    '[web]\ntoekn = "{}"\n',
    '[web]\ntoken = ["{}"]\n',
    '[web]\ntoken = {{ env = "{}" }}\n',
    '[web]\ntoken = {{ file = "{}" }}\n',
    'web = {{ listen = "nope", token = "{}" }}\n',
    'web = {{ listen = "nope" token = "{}" }}\n',
    '[services.x]\nrouting_key = "{}-"\n',
    '[services.x]\nroutingkey = "{}"\n',
    '[services.x]\ntitle = 5\n[services.x.P1]\nrouting_key = "{}!"\n',
    '[store]\nurl = "mysql://user:{}@db/x"\n',
    '[store]\nurl = "postgresql+psycopg://user:{}@db/x\n',
    '[heartbeat]\nurl = "hc.example.com/{}"\n',
    '[sources.box]\ntype = "box"\npasswort = "{}"\n',
    '[sources.box]\ntype = "box"\npassword = """\n{}\n',
    '[sources.box]\ntype = "{}"\n',
    '"{}"\n',
    "{}\n",
    '[web]\ntoken = "a" "{}"\n',
    '[web]\ntoken = { env = "SECRET" }\ntoken = { env = "SECRET" }\n[sources.box]\ntype = { env = "SECRET" }\n',
    'instance = { env = "SECRET" }\ntimezone = { env = "SECRET" }\n',
]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_does_not_give_its_secret_away(loader: Loader, text: str) -> None:
    written = text.replace("{}", SECRET).replace("{{", "{").replace("}}", "}")
    loaded = loader(settings=written, environ={"SECRET": SECRET})
    assert loaded.problems
    said = "".join(render_plain(problem) + repr(problem) for problem in loaded.problems) + repr(loaded)
    assert SECRET not in said


def test_right_settings_do_not_print_their_secrets(loader: Loader) -> None:
    written = f"""
[heartbeat]
url = "https://hc.example.com/{SECRET}"
[store]
url = "postgresql+psycopg://u:{SECRET}@db/x"
[web]
token = "{SECRET}"
[sources.box]
type = "box"
password = "{SECRET}"
[services.x]
routing_key = "{SECRET}"
"""
    loaded = loader(settings=written)
    assert not [problem for problem in loaded.problems if problem.error]
    assert SECRET not in repr(loaded)
    assert SECRET not in str(loaded.settings)
    assert loaded.settings is not None
    assert SECRET not in loaded.settings.model_dump_json()


def test_masking_keeps_every_column() -> None:
    line = 'token = "ä漢x"   # why'
    assert mask(line, settings=True) == 'token = "•••"   # why'
    assert mask(line, settings=False) == line
    assert mask('listen = "127.0.0.1:9464"', settings=True) == 'listen = "127.0.0.1:9464"'
    assert mask("[services.x]", settings=True) == "[services.x]"
    assert mask('query = "redis://u:pass@h"', settings=False) == 'query = "redis://u:••••@h"'


WHOLE = """
instance = "prod"
[heartbeat]
url = "https://hc.example.com/SECRET"
[store]
url = "postgresql+psycopg://u:SECRET@db/x"
[web]
listen = "127.0.0.1:9464"
token = "SECRET"
[sources.box]
type = "box"
password = "SECRET" # or "SECRET"
[services.x]
routing_key = "SECRET"
P1 = { routing_key = "SECRET", policy = "p" }
"""
PLACES = st.integers(min_value=0, max_value=len(WHOLE) - 1)
SIGNS = st.sampled_from(["", "", '"', "=", "[", "}", "\n", "#", ",", " ", "'", '"""', "x"])
CUTS = st.lists(st.tuples(PLACES, SIGNS), max_size=4)


@settings(max_examples=400, deadline=None)
@given(cuts=CUTS)
# A line that lost its end: then the value looks like a key.
@example(cuts=[(WHOLE.index("SECRET") + len("SECRET") + 1, "=")])
def test_no_damage_to_the_settings_gives_a_secret_away(cuts: list[tuple[int, str]]) -> None:
    text = list(WHOLE)
    for place, instead in cuts:
        if not any(WHOLE.startswith("SECRET", start) for start in range(max(0, place - 5), place + 1)):
            text[place] = instead
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules").mkdir()
        (Path(folder) / "evaluator.toml").write_text("".join(text).replace("SECRET", SECRET))
        loaded = load(Path(folder) / "evaluator.toml", {}, plugins=PLUGINS)
        assert SECRET not in "".join(render_plain(problem) + repr(problem) for problem in loaded.problems)
