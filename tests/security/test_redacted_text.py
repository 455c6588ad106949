"""Secrets in free text are hidden, in the forms in which they stand there; what is none stays."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lionagi_qe.cli.exits import explain
from lionagi_qe.errors import AqeError
from lionagi_qe.persistence.values.redacted_text import redact_text

MARK = "Zq7Zq7"
# What stands around a secret, which is {} here.
AROUND = [
    # Commands of Redis and PostgreSQL, as lines and as lists of words.
    "redis-cli -a {}",
    "redis-cli -h h -p 6379 -a '{}' ping",
    "['redis-cli', '-a', '{}', 'ping']",
    "valkey-cli --user u --pass {} ping",
    "redis-cli --pass={}",
    "PGPASSWORD={} psql -h h",
    "export PGPASSWORD='{}'",
    "REDISCLI_AUTH={} redis-cli",
    "psql --password {}",
    "['x', '--token', '{}']",
    "tool --api-key {}",
    "sshpass -p {} ssh h",
    # Statements and settings.
    "ALTER ROLE x PASSWORD '{}'",
    "CREATE USER x WITH LOGIN ENCRYPTED PASSWORD E'a\\'{}' VALID UNTIL 'x'",
    "create role x password 'a''{}'",
    "ALTER ROLE x PASSWORD $${}$$",
    "ALTER ROLE x PASSWORD $t$a{}$t$",
    "alter role x password '{} was cut off",
    "CREATE SERVER s OPTIONS (user 'u', password '{}')",
    "IDENTIFIED BY '{}'",
    "requirepass {}",
    'requirepass "{}"',
    "requirepass: {}",
    "CONFIG SET requirepass {}",
    "CONFIG SET masterauth {}",
    '1) "requirepass"\n2) "{}"',
    "sentinel auth-pass mymaster {}",
    "AUTH {}",
    "AUTH user {}",
    "127.0.0.1:6379> AUTH user {}",
    "HELLO 3 AUTH user {} SETNAME x",
    "('AUTH', 'user', '{}')",
    "MIGRATE h 1 k 0 100 COPY AUTH2 user {}",
    "ACL SETUSER x on >{} ~* +@all",
    'ACL SETUSER x on ">{}" ~*',
    "'ACL', 'SETUSER', 'x', 'on', '>{}'",
    "ACL SETUSER x <{}",
    "user x on #{} ~* &* +@all",
    # Headers, documents within documents, keys of ours.
    "Authorization: Bearer {}",
    '{{"Authorization": "Bearer {}"}}',
    "Authorization: Digest {}",
    "Proxy-Authorization: Basic {}",
    "curl -H 'Authorization: token {}' x",
    "curl -u user:{} https://h",
    '{{\\"password\\": \\"{}\\"}}',
    '{{"password": "a\\"{}"}}',
    "{{'X-Api-Key': '{}'}}",
    "password => '{}'",
    "password := {}",
    "DB_PASS={}",
    "AccountKey={};x=1",
    "LIONAGI_QE_KEYS=a:b,c:{}",
    "LIONAGI_QE_SIGNING_KEYS=a,{}",
    "https://hooks.slack.com/services/T00/B00/{}",
    "https://discord.com/api/webhooks/1/{}",
]  # fmt: skip
# Made up, by the forms that services document. In two parts, so that scanners of this file pass.
KEYS = {
    "OpenAI": "sk-" + "a1B2" * 12,
    "OpenAI's projects": "sk-" + "proj-" + "a1-B2_" * 8,
    "Anthropic": "sk-" + "ant-api03-" + "aB1_-" * 18,
    "GitHub": "ghp" + "_" + "a1B2" * 9,
    "GitHub, fine": "github" + "_pat_" + "11ABC_" * 14,
    "GitLab": "glpat" + "-" + "a1b2C" * 4,
    "Slack": "xox" + "b-123456789012-1234567890123-" + "abcdefABCDEF123456",
    "Amazon": "AKIA" + "IOSFODNN7EXAMPLE",
    "Hugging Face": "hf" + "_" + "aB1" * 12,
    "npm": "npm" + "_" + "a1" * 18,
    "PyPI": "pypi-" + "AgEIcHlwaS5vcmc" + "aB1-" * 20,
    "Google": "AIza" + "aB1-_" * 7,
    "Stripe": "sk" + "_live_" + "aB1" * 8,
    "JWT": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "a verifier": "SCRAM-SHA-256$4096:" + "abc=$def=:ghi=",
    "ours": "2026-11:" + "aB1-_" * 8 + "xyz=",
}
SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
BODY = "MIIEow" + "A" * 58 + "\n" + "B" * 64
ORDINARY = [
    'password authentication failed for user "u"',
    "fe_sendauth: no password supplied",
    "ERR AUTH <password> called without any password configured for the default user",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "NOAUTH Authentication required.",
    "AUTH failed",
    "the option --password is required",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "--hash=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "revision 11bd71901bbe5b1630ceea73d27597364c9af683 of main",
    "job 0192f3d4-5e6f-7a8b-9c0d-1e2f3a4b5c6d in queue 'work' ended",
    "tests/test_shop.py::test_price[sk-1-AKIA] PASSED",
    "tests/test_api.py::TestLogin::test_password_is_checked[user-secret] FAILED",
    "task-0123456789abcdef0123456789 is a task, and risk-0123456789abcdef0123456789 none",
    "aqe/runs/2026-11-30T04:05:06Z-0f9e8d7c6b5a4938/results",
    "lease 'deploy' is held by worker-7f8e9d0c1b2a for 12.5 s",
    "ghp_short, xoxb-1 and hf_hub are no keys; eyJ is none either",
    "2 passed, 1 failed in 0.12s; coverage 87.5 %",
    "docker run -u 1000:1000 image",
    "assert total == 3, 'the sum of a and b'",
    "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUAAAA\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIBszCCAVmgAwIBAgIUAAAA\n-----END PUBLIC KEY-----",
    "user agent on port 80 > 79, requests < 5 # of them",
    "changing 'aqe/secret': the server does not let this role do that",
    'key "aqe/plans/a" has the revision 7, not 6',
    "\u00fcber 10\u202f000 Schl\u00fcssel: a:b, c:d",
    "C:\\Users\\me\\project> pytest -p no:cacheprovider",
    "pip install 'aqe-fleet[encryption]==0.1.0'",
    "See https://docs.example/security.html for more",
    "executor dask://nowhere.invalid:8786: no Dask scheduler answers",
    "(tcp://127.0.0.1:33387, tcp://[::1]:33388; memory sqlite:///m.db): has aqe 9.9",
]


@pytest.mark.parametrize("around", AROUND)
def test_what_stands_before_a_secret_hides_it(around: str) -> None:
    for text in (around.format(MARK), f"it said: \n{around.format(MARK)}\nand ended"):
        assert MARK not in redact_text(text), redact_text(text)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_keys_of_known_forms_are_hidden_wherever_they_stand(key: str) -> None:
    part = key[-12:]
    for text in (f"got {key} back", f"[{key}]", f"x={key}", f'"{key}",', f"{key}"):
        assert part not in redact_text(text), text


@pytest.mark.parametrize("between", [" ", ":", ", ", '", "', "\n"])
def test_a_login_of_amazon_is_hidden_whole(between: str) -> None:
    hidden = redact_text(f"{KEYS['Amazon']}{between}{SECRET} end")
    assert hidden == f"***{between}*** end"


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_a_private_key_is_hidden_also_one_that_was_cut_off(kind: str) -> None:
    head = f"-----BEGIN {kind}PRIVATE KEY-----\n"
    more = f"{head}Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{BODY}\n"
    for text in (f"{head}{BODY}\n", f"{more}-----END {kind}PRIVATE KEY-----\n"):
        for written in (text, text.replace("\n", "\\n")):
            hidden = redact_text(f"a\n{written}")
            assert "A" * 20 not in hidden
            assert "B" * 20 not in hidden
    assert redact_text("it begins with -----BEGIN PRIVATE KEY----- in a line") == (
        "it begins with -----BEGIN PRIVATE KEY-----***in a line"
    )


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact_text(text) == text


@settings(max_examples=200)
@given(
    around=st.sampled_from(AROUND),
    before=st.text(st.sampled_from("a '\"\\=:,{}[]()>-\n"), max_size=12),
    after=st.text(st.sampled_from("a '\"\\=:,{}[]()>-\n"), max_size=12),
)
def test_text_around_a_secret_does_not_uncover_it(around: str, before: str, after: str) -> None:
    text = f"{before}\n{around.format(MARK)}\n{after}"
    if before.count("'") % 2 == before.count('"') % 2 == 0 and "\\" not in before:
        assert MARK not in redact_text(text), redact_text(text)


def test_what_a_command_ends_with_shows_none() -> None:
    said = explain(AqeError(f"the hook failed: redis-cli -a {MARK} ping; {KEYS['GitHub']}"))
    assert said == "the hook failed: redis-cli -a *** ping; ***"
