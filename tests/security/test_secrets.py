"""Passwords are in nothing that anybody gets to see, whatever the form of the URL."""

from __future__ import annotations

import json
import os
import traceback
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests import programs

from lionagi_qe import errors, open_memory
from lionagi_qe.agents.environment.installer import check_installed
from lionagi_qe.agents.environment.process import Completed
from lionagi_qe.agents.project.model_choice import ModelChoice
from lionagi_qe.cli.options import MemoryChoice
from lionagi_qe.fleet.request import request_for
from lionagi_qe.persistence.postgres import server_errors as postgres_errors
from lionagi_qe.persistence.redis import server_errors as redis_errors
from lionagi_qe.persistence.values.redacted_text import redact_text
from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What passwords are made of here; nothing else in the URLs has it.
MARK = "Zq7"
# {} is the password. With the escape of "@" and so on, and as people write it.
FORMS = (
    "postgresql://u:{}@h:5432/db",
    "postgres://u:{}@a:1,b:2/db?target_session_attrs=any",
    "postgresql://u:{}@[::1]:5432/db",
    "postgresql://u@h/db?password={}",
    "postgresql://u@h/db?sslmode=require&sslpassword={}",
    "postgresql://h/db?options=-c%20my.password%3D{}",
    "postgresql://h/db?user=u&password={}&host=/var/run/postgresql",
    "postgresql://u%3A{}@h/db",
    "redis://:{}@h:6379/0",
    "redis://u:{}@h",
    "redis://{}@h:6379/0",
    "rediss://:{}@h:6380/0?ssl_cert_reqs=required",
    "rediss://h/0?ssl_password={}",
    "redis://h/0?password={}",
    "redis+cluster://u:{}@h",
    "redis+sentinel://u:{}@a:1,b:2/mymaster/0",
    "redis+sentinel://a:1/mymaster/0?sentinel_password={}",
    "unix://u:{}@/tmp/redis.sock",
    "unix://:{}@/tmp/redis.sock?db=1",
    "host=h user=u password={}",
    "u:{}@h/db",
    "mysql://u:{}@h/db",
    "https://u:{}@h/path",
    "POSTGRESQL://u:{}@h/db",
    "redis://h/0?token={}",
    "sqlite:///a.db?key={}",
    "sqlite://u:{}@h/a.db",
)
ANY = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
PASSWORDS = st.lists(
    st.sampled_from(
        ["", "@", ":", "/", "?", "#", "&", "=", "%", "[", "]", "+", ",", "'", '"', "\\"]
    )
    | st.text(ANY, max_size=2),
    max_size=4,
).map(lambda parts: MARK + MARK.join(parts) + MARK)


def complaints(url: str) -> list[str]:
    """Return all that is told of a URL by who is asked to open it."""
    told = [redact(url), repr(MemoryChoice(url, "f")), MemoryChoice(url, "f").shown]
    told += [repr(request_for(".", agents=[], memory=url))]
    for call in (lambda: open_memory(url), lambda: open_memory("memory://", cache=url)):
        try:
            told += [repr(call())]
        except (errors.AqeError, ValueError) as error:
            told += [str(error), repr(error), *traceback.format_exception(error)]
    return told


# As many as make fuzz asks for.
@settings(max_examples=max(300, int(os.environ.get("AQE_FUZZ_CASES", "0"))))
@given(form=st.sampled_from(FORMS), password=PASSWORDS, escaped=st.booleans())
@example(form="redis://h/0?password={}", password=f"{MARK}&{MARK}={MARK}", escaped=False)
@example(form="unix://u:{}@/tmp/redis.sock", password=f"{MARK}/{MARK}", escaped=False)
def test_no_form_of_a_url_shows_its_password(form: str, password: str, *, escaped: bool) -> None:
    # What stands before a colon is a user's name, which is no secret.
    assume(escaped or ":" not in password or "{}@" not in form.replace(":{}", ""))
    url = form.format(quote(password, safe="") if escaped else password)
    for told in complaints(url):
        assert MARK not in told, told


@pytest.mark.parametrize("url", ["postgresql://u:{}@h/db", "redis://u:{}@h/0", "redis://{}@h"])
def test_what_is_no_secret_is_shown(url: str) -> None:
    assert "h" in redact(url.format("secret"))
    assert redact("postgresql://u@h:5432/db?sslmode=verify-full&schema=s") == (
        "postgresql://u@h:5432/db?sslmode=verify-full&schema=s"
    )
    assert redact("./a b.db") == "***"
    assert redact("./a.db") == "./a.db"


@pytest.mark.parametrize("explain", [postgres_errors.explain, redis_errors.explain])
@pytest.mark.parametrize(
    "text",
    [
        "invalid DSN: postgresql://u:{}@h/db?x=1 is none",
        "can't connect to 'redis://:{}@h:6379/0'",
        "connection failed: host=h password={} user=u",
        "connection failed: password='{}', user=u",
        '{{"password": "{}"}}',
        "AUTH failed: sslpassword = {}",
    ],
)
def test_no_drivers_error_is_passed_on_with_a_password(
    explain: Callable[..., Exception], text: str
) -> None:
    for sent in (True, False):
        assert MARK not in str(explain(OSError(text.format(MARK)), "where", sent=sent))
    assert MARK not in redact_text(text.format(MARK))


@pytest.mark.parametrize(
    "text",
    [
        "could not fetch git+https://{}@git.example/shop.git",
        "https://{}@pypi.example/simple: 401",
        "Authorization: Bearer {}",
        "authorization: Basic {}, x",
        "X-API-Key: {}",
        "AWS_SECRET_ACCESS_KEY={} aws",
        "LIONAGI_QE_SIGNING_KEYS={}",
        "redis://{}@h:6379",
        "valkey://:{}@h:6379",
    ],
)
def test_tokens_in_a_text_are_hidden(text: str) -> None:
    assert MARK not in redact_text(text.format(MARK))
    with pytest.raises(errors.EnvironmentBuildError) as caught:
        check_installed(Completed(1, None, 1.0, f"ERROR: {text.format(MARK)}"), text.format(MARK))
    assert MARK not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:{}@localhost:1/db",
        "postgresql://u@localhost/db?port=1&password={}",
        "postgresql://u:{}@localhost:1,localhost:2/db",
        "redis://:{}@localhost:1/0",
        "redis+cluster://:{}@localhost:1",
        "redis+sentinel://:{}@localhost:1/m/0?sentinel_password={}",
        "redis://localhost/0?password={}&x{}=1",
        "host=localhost password={}",
    ],
)
def test_no_command_tells_a_password_of_a_memory_that_it_cannot_reach(url: str) -> None:
    env = {"LIONAGI_QE_MEMORY": url.format(MARK, MARK)}
    done = programs.call(*programs.AQE, "doctor", "--json", env=env)
    assert done.code in {2, 3}
    assert MARK not in done.output + done.complaints
    assert len(done.complaints.splitlines()) == 1


def test_a_reports_memory_has_no_password(tmp_path: Path) -> None:
    asked = request_for(tmp_path, agents=[], memory=f"postgresql://u:{MARK}@h/db")
    assert asked.shown_url == "postgresql://u:***@h/db"
    assert MARK not in json.dumps(asked.shown_url) + repr(asked)


def test_the_url_of_a_models_api_has_no_password() -> None:
    for url in (f"https://u:{MARK}@llm.example/v1", f"https://{MARK}@llm.example/v1"):
        with pytest.raises(errors.InvalidArgumentError, match="MY_LLM_API_KEY") as caught:
            ModelChoice(provider="my-llm", name="large", base_url=url)
        assert MARK not in str(caught.value)
        env = {"AQE_BASE_URL": url, "AQE_MODEL": "my-llm/large"}
        done = programs.call(*programs.AQE, "run", ".", env=env)
        assert done.code == 2
        assert MARK not in done.output + done.complaints
