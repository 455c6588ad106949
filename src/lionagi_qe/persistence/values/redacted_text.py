"""Texts of others, such as a driver's error or a stored value, without the secrets in them.

What is known of a secret is what stands before it (a keyword, an option, a statement), or its own
form, as services document it so that scanners find it. Sources of the forms: the documentation of
detect-secrets, gitleaks and the services. Expressions take a time that grows with a text's length
alone, and hide rather too much than too little where a text was cut off.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lionagi_qe.persistence.values.url import redact

if TYPE_CHECKING:
    from collections.abc import Callable

HIDDEN = "***"

# A URL with a login in any text, up to what can't be in one. Of a scheme's length, so that a long
# text is read in a time that grows with its length alone.
_URL = re.compile(r"[a-z][a-z0-9+.-]{0,40}://[^\s'\"<>]*", re.IGNORECASE)
# Addresses that are secrets themselves: whoever knows them may post.
_HOOK = re.compile(
    r"(hooks\.slack\.com/[a-z]{1,20}/|discord(?:app)?\.com/api/webhooks/|api\.telegram\.org/bot)"
    r"[^\s'\"<>]+",
    re.IGNORECASE,
)
# Keywords of libpq, environments, headers and settings: password=x, "token": "x", API_KEY => 'x'.
# Commas belong to lists of keys where no space follows.
_KEYWORD = re.compile(
    # In quotes the whole word: 'aqe/secret': is a key of which something is told.
    r"((?<=[\"'])[\w.-]*(?:password|passwd|passphrase|pwd|secret|token|_pass|api[_-]?key"
    r"|(?:access|account|private|signing|encryption)[_-]?keys?|authorization)\\*[\"']"
    r"|\b\w*(?:password|passwd|passphrase|pwd|secret|token|_pass|requirepass|masterauth"
    r"|REDISCLI_AUTH|lionagi_qe_keys|(?:api|access|account|private|signing|encryption)[_-]?keys?"
    r"|authorization))"
    r"(\s*(?:=>|:=|[=:])\s*)"
    r"(\\?'(?:[^'\\]|\\.)*'|\\?\"(?:[^\"\\]|\\[^\"]|\\\"(?![\s,}\]:]))*\\?\""
    r"|(?:(?:bearer|basic|token|digest|negotiate)\s+)?(?:[^\s,;&)]|,(?=\S))+)",
    re.IGNORECASE | re.DOTALL,
)
_BEARER = re.compile(r"\b(bearer\s+)[\w.~+/=-]{16,}", re.IGNORECASE)
# Options of commands, in a line or in a list of words: --pass x, '--token', 'x'. The value is no
# option, and none of the words by which a sentence goes on.
_OPTION = re.compile(
    r"(?<![\w-])(--?[a-z-]{0,30}(?:pass|password|passwd|passphrase|token|secret|api-?key|masterauth)"
    r"[\"']?[\s,=]\s{0,9}[\"']?)"
    r"(?!-|(?:is|was|are|and|or|to|for|with|needs|must|can|has|names|option|reads|of|in)\b)"
    r"[^\s\"',)\]]+",
    re.IGNORECASE,
)
_SHORT_OPTION = re.compile(
    r"(\b(?:(?:redis|valkey)-(?:cli|benchmark)\b[^\n]{0,200}?[\s\"']-a|sshpass[\"',\s]{1,9}-p)"
    r"[\"']?[\s,=]{0,9}[\"']?)[^\s\"',)\]]+"
)
_LOGIN_OPTION = re.compile(
    r"(?<!\S)((?:-u|--user|--proxy-user)[ =][\"']?(?!\d+:\d+\b)[^\s:\"']{1,100}:)[^\s\"']+"
)
# ALTER ROLE x PASSWORD 'y', OPTIONS (password 'y'), IDENTIFIED BY 'y': one literal, or what is left
# of one that was cut off.
_STATEMENT = re.compile(
    r"\b((?:password|identified\s+by)\s+(?:E|U&)?)"
    r"(?:'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*'?"
    r"|\$(\w{0,60})\$[^$]*+(?:(?!\$\2\$)\$[^$]*+)*(?:\$\2\$)?)",
    re.IGNORECASE | re.DOTALL,
)
# Redis' settings, in files, commands and answers: requirepass x, 1) "requirepass" 2) "x".
_SETTING = re.compile(
    r"\b((?:requirepass|masterauth|primaryauth|sentinel-pass|auth-pass\s+\S{1,100})"
    r"[\"']?[\s,]{1,9}(?:\d\)\s)?[\"']?)"
    r"(?!(?:is|was|are|and|or|to|for|with|has|must|can|in|of)\b)[^\s\"',)\]]+",
    re.IGNORECASE,
)
# AUTH password and AUTH user password, where a command may begin: a line, a quote, a prompt, HELLO.
_AUTH = re.compile(
    r"((?:^|[>\"'`(\[]\s?|\bHELLO[\"'\s,]{1,4}\d[\"'\s,]{1,4}|\bMIGRATE\b[^\n]{1,200}?\s)"
    r"AUTH2?[\"']?(?:\s|,)\s?)"
    r"(?!(?:failed|called|required|error|errors|is|was|needs|without|with|command|to|for)\b|<)"
    r"[\"']?[^\s\"',)\]`]+[\"']?(?:[ \t]*,?[ \t]+[\"']?[^\s\"',)\]`]+[\"']?)?",
    re.IGNORECASE | re.MULTILINE,
)
# What users are: ACL SETUSER x on >password #digest, and the lines of their file.
_USER = re.compile(
    r"(?:\bSETUSER[\"']?[\s,]|^user\s+\S{1,100}\s+(?:on|off)\b)[^\n]*", re.IGNORECASE | re.MULTILINE
)
_RULE = re.compile(r"(?<![^\s,\"'])([\"']?[><#!])[^\s\"',)\]]+")
# The pair that is one login of Amazon's.
_PAIR = re.compile(
    r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}[\s:,;\"'|]{1,6})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])"
)
_PEM = re.compile(
    r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
    r"(?:[^-]*+(?:-(?!----)[^-]*+)*-----END [A-Z0-9 ]{0,60}-----"
    r"|(?:\s++|\\[rn]|[A-Za-z0-9+/=]{16,}+)*)"
)
# Keys that say themselves whose they are.
_KNOWN = re.compile(
    # OpenAI, Anthropic and others of their form; Groq, xAI, Perplexity, Replicate, Hugging Face
    r"\bsk-(?:ant|proj|svcacct|admin|or|lf|None)-[\w-]{16,}|\bsk-[A-Za-z0-9]{20,}"
    r"|\bgsk_[A-Za-z0-9]{40,}|\bxai-[A-Za-z0-9]{60,}|\bpplx-[A-Za-z0-9]{40,}|\br8_[A-Za-z0-9]{37}\b"
    r"|\bhf_[A-Za-z0-9]{30,}|\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}"
    # GitHub, GitLab, PyPI, npm
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_\w{22,}"
    r"|\bgl(?:pat|ptt|dt|rt|cbt|ft|imt|agent|soat|ffct)-[\w-]{20,}"
    r"|\bpypi-Ag[\w-]{50,}|\bnpm_[A-Za-z0-9]{36}\b"
    # Slack, Telegram, SendGrid, Twilio, Stripe, Shopify
    r"|\bxox[abceoprs]-[\w-]{10,}|\bxapp-\d-[\w-]{10,}|\b\d{8,10}:AA[\w-]{33}\b"
    r"|\bSG\.[\w-]{22}\.[\w-]{43}|\bSK[0-9a-f]{32}\b|\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"
    r"|\bwhsec_[A-Za-z0-9+/=]{24,}|\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"
    # Amazon, Google, DigitalOcean, Databricks, Vault, PlanetScale, Supabase, age
    r"|\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b|\bAIza[\w-]{35}|\bya29\.[\w-]{20,}|\bGOCSPX-[\w-]{28}"
    r"|\bdo[por]_v1_[0-9a-f]{64}|\bdapi[0-9a-f]{32}\b|\bhv[sb]\.[\w-]{24,}"
    r"|\bpscale_(?:pw|tkn|oauth)_[\w.-]{32,}|\bsb_secret_[\w-]{20,}|\bsbp_[0-9a-f]{40}\b"
    r"|\bAGE-SECRET-KEY-1[A-Z0-9]{58}"
    # JSON Web Tokens; verifiers of PostgreSQL; keys of ours, which stand behind their ids
    r"|\beyJ[\w-]{10,}\.[\w-]{4,}(?:\.[\w-]*){1,3}|\bSCRAM-SHA-256\$\d{1,9}:[^\s'\"]+"
    r"|(?<=[\w.-]:)(?<!sha256:)[\w-]{43}=(?![=\w])"
)


def redact_text(text: str) -> str:
    """Return any text, as that of a driver's error, without the secrets that can be known in it."""
    text = _URL.sub(_address, text)
    for expression, instead in _FORMS:
        text = expression.sub(instead, text)
    return text


def _address(found: re.Match[str]) -> str:
    # What ends a sentence, or stands before its reason, is not the address's.
    url = found[0].rstrip(".,:;)]}")
    return redact(url) + found[0][len(url) :]


def _users_hidden(found: re.Match[str]) -> str:
    return _RULE.sub(rf"\1{HIDDEN}", found[0])


_FORMS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (_PEM, rf"\1{HIDDEN}"),
    (_HOOK, rf"\1{HIDDEN}"),
    (_STATEMENT, rf"\1{HIDDEN}"),
    (_USER, _users_hidden),
    (_SETTING, rf"\1{HIDDEN}"),
    (_AUTH, rf"\1{HIDDEN}"),
    (_SHORT_OPTION, rf"\1{HIDDEN}"),
    (_OPTION, rf"\1{HIDDEN}"),
    (_LOGIN_OPTION, rf"\1{HIDDEN}"),
    (_PAIR, rf"\1{HIDDEN}"),
    (_KEYWORD, rf"\1\2{HIDDEN}"),
    (_BEARER, rf"\1{HIDDEN}"),
    (_KNOWN, HIDDEN),
)
