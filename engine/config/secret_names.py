"""Which names say that their value is a secret: of keys, of connection options, in statements."""

from __future__ import annotations

import re

_SECRET_NAME = re.compile(
    r"(?i)pass(?:$|[\W_\d]|wd|word|phrase|code|wort)|pwd|secret|token|credential|bearer|^(?:hex)?key$"
    r"|(?:api|access|private|account|encryption|cipher|shared|auth|master|signing)[\W_]*key"
)

_NAMES_A_PLACE = re.compile(
    r"(?i)[\W_](?:column|field|table|view|file|path|days|hours|minutes|seconds|length|count)s?$"
)

_SECRET_STATEMENT = re.compile(r"(?i)pass|pwd|secret|token|credential|key\b|identified\s+by")

_ASSIGNED = re.compile(
    r"(?i)(?:pass(?:wd|word|phrase|code)?|pwd|secret|token|credentials?|[\w-]*key)[\"'\]\s]*[=:]|//[^/\s@]*:[^/\s@]*@"
)


def is_secret_name(name: str) -> bool:
    """Whether a key or an option of this name holds a password, a token or alike.

    >>> [is_secret_name(each) for each in ("PWD", "AccessToken", "api_key", "token_column", "passive")]
    [True, True, True, False, False]
    """
    return bool(_SECRET_NAME.search(name)) and not _NAMES_A_PLACE.search(name)


def may_hold_secret(statement: str) -> bool:
    """Whether a statement may hold a secret, such as ``PRAGMA key = '…'``."""
    return bool(_SECRET_STATEMENT.search(statement))


def looks_secret(text: str) -> bool:
    """Whether a text holds what looks like one: ``pwd=…``, ``"token": …``, or ``https://user:password@…``."""
    return bool(_ASSIGNED.search(text))


def quoted_texts(statement: str) -> list[str]:
    """The texts in single or double quotes in a statement; without any, its last word."""
    found = [first or second for first, second in re.findall(r"'([^']*)'|\"([^\"]*)\"", statement)]
    return [each for each in found if each] or re.findall(r"([^\s=;]+)[\s;]*$", statement)
