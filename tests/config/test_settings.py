"""What the settings become, where their secrets come from, and who hears of what."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from evaluator.config.load import Loaded, load
from evaluator.engine.rules import Severity
from evaluator.incidents.routing import CONSOLE, Target
from tests.config.conftest import BoxSettings

Loader = Callable[..., Loaded]
Text = Callable[..., str]
KEY = "abcdefghijabcdefghijabcdefghij12"
LOW = "abcdefghijabcdefghijabcdefghij99"
BOX = '[sources.box]\ntype = "box"\n'


def errors(loaded: Loaded) -> list[str]:
    return [problem.headline for problem in loaded.problems if problem.error]


def test_everything_has_a_default(loader: Loader) -> None:
    settings = loader(settings="").settings
    assert settings is not None
    assert (settings.instance, settings.every, settings.timezone, settings.heartbeat) == ("default", 30.0, "UTC", None)
    assert (settings.web.host, settings.web.port, settings.web.token) == ("127.0.0.1", 9464, None)
    assert set(settings.notifiers) == {"console", "pagerduty"}


def test_a_relative_database_is_relative_to_the_settings(loader: Loader, folder: Path) -> None:
    loaded = loader(settings='[store]\nurl = "sqlite:///var/x.db"\n')
    assert loaded.settings is not None
    assert loaded.settings.store.url.get_secret_value() == f"sqlite:///{folder}/var/x.db"
    absolute = loader(settings='[store]\nurl = "sqlite:////var/x.db"\n')
    assert absolute.settings is not None
    assert absolute.settings.store.url.get_secret_value() == "sqlite:////var/x.db"


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::1]:9464", "localhost:0", "box.example.com:9464"])
def test_addresses_to_listen_on(loader: Loader, listen: str) -> None:
    settings = loader(settings=f'[web]\nlisten = "{listen}"\n').settings
    assert settings is not None
    assert f"{settings.web.host}:{settings.web.port}" == listen.replace("[", "").replace("]", "")


@pytest.mark.parametrize("listen", ["9464", ":9464", "::1:9464", "[nope]:1", "a:99999", "a:b"])
def test_no_addresses_to_listen_on(loader: Loader, listen: str) -> None:
    assert "`listen` must" in errors(loader(settings=f'[web]\nlisten = "{listen}"\n'))[0]


def test_values_come_from_variables_and_files(loader: Loader, folder: Path) -> None:
    (folder / "secret").write_text("from a file\n")
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "token").write_text("from systemd")
    settings = (
        'instance = { env = "NAME" }\n[web]\ntoken = { file = "token" }\n' + BOX + 'password = { file = "secret" }\n'
    )
    loaded = loader(settings=settings, environ={"NAME": "prod", "CREDENTIALS_DIRECTORY": str(credentials)})
    assert errors(loaded) == []
    assert loaded.settings is not None
    assert loaded.settings.instance == "prod"
    assert loaded.settings.web.token == SecretStr("from systemd")
    box = loaded.settings.sources["box"].settings
    assert isinstance(box, BoxSettings)
    assert box.password == SecretStr("from a file")


def test_paths_of_a_source_start_at_the_settings(loader: Loader, folder: Path) -> None:
    settings = loader(settings=BOX + 'ca = "certs/ca.pem"\n').settings
    assert settings is not None
    box = settings.sources["box"].settings
    assert isinstance(box, BoxSettings)
    assert box.ca == folder / "certs/ca.pem"


def test_what_a_value_refers_to_must_be_there(loader: Loader) -> None:
    settings = '[web]\ntoken = { env = "A" }\n' + BOX + 'password = { file = "b" }\nurl = { env = "C", file = "c" }\n'
    assert errors(loader(settings=settings, environ={"A": ""})) == [
        "evaluator.toml:2:9: the environment variable A is empty",
        "evaluator.toml:5:12: the file b cannot be read: No such file or directory",
        "evaluator.toml:6:7: `env` and `file` cannot both be",
    ]


def test_a_disabled_source_needs_no_secret(loader: Loader) -> None:
    loaded = loader(settings=BOX + 'enabled = false\npassword = { env = "NOPE" }\n')
    assert errors(loaded) == []
    assert loaded.settings is not None
    assert not loaded.settings.sources["box"].enabled


def test_a_service_without_its_key_tells_the_console_and_says_so(loader: Loader, rule: Text) -> None:
    settings = BOX + '[services.infrastructure]\nrouting_key = { env = "PD" }\n'
    loaded = loader({"a.toml": rule("a")}, settings=settings)
    assert loaded.settings is not None
    assert loaded.routes.to("infrastructure", Severity.P0) == (CONSOLE,)
    assert loaded.notes == {"infrastructure": "PD is not set"}
    (problem,) = [problem for problem in loaded.problems if problem.id == "service-cannot-page"]
    assert (problem.line, problem.error) == (4, False)
    strict = loader(settings="strict = true\n" + settings)
    assert strict.fatal
    assert 'service "infrastructure" cannot page: PD is not set' in errors(strict)[0]
    found = loader(settings=settings, environ={"PD": KEY})
    assert found.routes.to("infrastructure", Severity.P0) == (Target("pagerduty", KEY),)
    assert found.notes == {}


def test_a_severity_may_have_a_key_of_its_own(loader: Loader, rule: Text) -> None:
    settings = BOX + f'[services.infrastructure]\nrouting_key = "{KEY}"\n[services.infrastructure.P3]\nrouting_key = '
    routes = loader(settings=f'{settings}"{LOW}"\n').routes
    assert routes.to("infrastructure", Severity.P2) == (Target("pagerduty", KEY),)
    assert routes.to("infrastructure", Severity.P3) == (Target("pagerduty", LOW),)
    missing = loader({"a.toml": rule("a")}, settings=settings + '{ env = "LOW" }\n')
    assert missing.routes.to("infrastructure", Severity.P3) == (Target("pagerduty", KEY),)
    assert any("P3 incidents go to the service's own routing key" in problem.message for problem in missing.problems)


def test_a_disabled_source_that_needs_one_of_several_keys_needs_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "evaluator.toml"
    database = '[sources.db]\ntype = "postgres"\nurl = { env = "NOPE" }\n'
    path.write_text(database + "enabled = false\n")
    assert [problem.message for problem in load(path, {}).problems if problem.line] == []
    path.write_text(database)
    assert [problem.message for problem in load(path, {}).problems if problem.line] == [
        "the environment variable NOPE is not set"
    ]
    path.write_text('[sources.db]\ntype = "postgres"\n')
    assert [problem.message for problem in load(path, {}).problems if problem.line] == ["needs either `url` or `host`"]


def test_a_disabled_pager_is_told_on_the_console(loader: Loader) -> None:
    settings = (
        BOX + f'[services.x]\nrouting_key = "{KEY}"\n[notifiers.pagerduty]\ntype = "pagerduty"\nenabled = false\n'
    )
    loaded = loader(settings=settings)
    assert loaded.routes.to("x", Severity.P0) == (CONSOLE,)
    assert loaded.notes == {"x": "[notifiers.pagerduty] is disabled"}


def test_a_plugin_that_cannot_be_imported_is_a_warning() -> None:
    from evaluator.config.plugins import Plugins

    plugins = Plugins({}, {}, {"bad": '"bad" cannot be imported: ImportError: no'})
    assert [problem.headline for problem in plugins.problems] == ['warning: "bad" cannot be imported: ImportError: no']
