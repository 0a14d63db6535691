"""A small world to load settings from: a folder, tiny source and notifier types, no environment."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from evaluator.config.load import Loaded, load
from evaluator.config.plugins import Plugins

SETTINGS = """\
[sources.box]
type = "box"

[sources.off]
type = "box"
enabled = false

[services.infrastructure]
routing_key = "abcdefghijabcdefghijabcdefghij12"

[services.payments]
routing_key = "abcdefghijabcdefghijabcdefghij34"

[heartbeat]
url = "https://hc.example.com/abc"
"""

RULE = """\
[rule.{name}]
source   = "box"
query    = "cpu"
severity = "P2"
service  = "infrastructure"
above    = 90
for      = "5m"
"""

Loader = Callable[..., Loaded]


class BoxSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str = "http://localhost"
    password: SecretStr | None = None
    ca: Path | None = None


class BoxQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shorthand: ClassVar[str] = "measure"

    measure: str
    mount: str | list[str] = "*"
    period: float | None = Field(None, gt=0)


class Box:
    Settings: ClassVar[type[BaseModel]] = BoxSettings
    Query: ClassVar[type[BaseModel]] = BoxQuery


class Empty(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Teller:
    Settings: ClassVar[type[BaseModel]] = Empty


PLUGINS = Plugins({"box": Box}, {"console": Teller, "pagerduty": Teller}, {})  # type: ignore[dict-item]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "evaluator.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
def loader(folder: Path) -> Loader:
    def load_here(
        rules: Mapping[str, str | bytes | None] | None = None,
        settings: str | bytes | None = None,
        saved: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        keep_vanished: bool = False,
    ) -> Loaded:
        """Write the files (`None` deletes one) and load them."""
        if settings is not None:
            (folder / "evaluator.toml").write_bytes(settings if isinstance(settings, bytes) else settings.encode())
        for name, text in (rules or {}).items():
            place = folder / "rules" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                place.unlink(missing_ok=True)
            else:
                place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load(folder / "evaluator.toml", environ or {}, saved, keep_vanished=keep_vanished, plugins=PLUGINS)

    return load_here


def rule(name: str, *more: str) -> str:
    """Return the text of a right rule, with more lines."""
    return RULE.format(name=name) + "".join(f"{line}\n" for line in more)


@pytest.fixture(name="rule")
def rule_text() -> Callable[..., str]:
    return rule
