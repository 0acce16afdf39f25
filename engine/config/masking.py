"""``project.toml`` as it may be shown to others, in a pull request or to the client: without the secrets in it.

The file is parsed and written out again. A value is shown where its key is known to hold no secret; a connection option
where it is known to be harmless. Comments and layout are left out, for they may hold anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.config.connection_strings import parse_connection, passwords_in, without_braces
from engine.config.document import find_setting
from engine.config.secret_names import is_secret_name, looks_secret, may_hold_secret, quoted_texts
from engine.config.variables import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MASK = "***"

MAX_LINE_LENGTH = 100

HARMLESS_OPTIONS = frozenset(
    name.replace(" ", "")
    for name in (
        *("driver", "dsn", "filedsn", "server", "servername", "servernode", "host", "hostname", "address", "addr"),
        *("port", "socket", "network", "protocol", "database", "db", "dbname", "dbq", "defaultdir", "dir", "fil"),
        *("driverid", "currentschema", "schema", "uid", "user", "user id", "username", "encrypt", "sslmode"),
        *("trustservercertificate", "trusted_connection", "integrated security", "applicationintent", "app"),
        *("application name", "wsid", "mars_connection", "multisubnetfailover", "language", "autotranslate"),
        *("ansinpw", "quotedid", "charset", "clientcharset", "client_charset", "tds_version", "option", "readonly"),
        *("timeout", "connect timeout", "connection timeout", "logintimeout", "conn_timeout", "read_timeout"),
        *(
            "boolsaschar",
            "lfconversion",
            "usedeclarefetch",
            "keepalivetime",
            "keepaliveinterval",
            "bytea_as_longvarbinary",
        ),
        *("stepapi", "bigint", "nocreat", "longnames", "exclusive", "extendedansisql", "collate", "role", "dialect"),
        *("no_prompt", "auto_reconnect", "multi_statements", "sslverify", "transportencryption"),
    )
)
"""Options of ODBC drivers whose values are not secret, in lower case and without blanks."""

_TABLES_OF_NAMES = frozenset({"tests", "products", "customers"})
"""Tables whose keys may be names of columns and of data tests, such as ``no_blank_password = "warning"``."""

_SECRET_ADDRESSES = frozenset({("notify", "urls"), ("notify", "ping")})
"""Keys whose addresses let whoever knows them send or answer in somebody's name."""

_HIDDEN = re.compile(r"\ue000(\d+)\ue001")

_SHOWN_STATEMENT = re.compile(r"(?i)\s*(?:set|pragma|use|alter\s+session\s+set)\b")


def secret_texts(text: str, at: tuple[str, ...]) -> list[str]:
    """What must never be printed of a string at a place: passwords, tokens, keys.

    Of a connection those of its options, each in braces and without them; of a statement of ``session`` its quoted
    texts, where it may hold a secret; of a key with a secret name, such as ``password``, the whole text.
    """
    if at[-1] == "connection":
        return passwords_in(text)
    if at[-1] == "session":
        return quoted_texts(text) if may_hold_secret(text) else []
    return [text] if at[0] not in _TABLES_OF_NAMES and any(is_secret_name(name) for name in at) else []


def written_secrets(text: str, at: tuple[str, ...]) -> list[str]:
    """Those of :func:`secret_texts` of which a part is written out, not filled in; ``${NAME}`` stands as it is."""
    hidden, names = _hide_variables(text)
    found = [each for each in secret_texts(hidden, at) if _HIDDEN.sub("", without_braces(each)).strip()]
    return [_show_variables(each, names) for each in found]


def has_variable(text: str) -> bool:
    """Whether a text holds a ``${NAME}`` that is filled in."""
    return any(found["name"] is not None for found in VARIABLE.finditer(text))


def has_variable_vars(settings: str) -> bool:
    """Whether a value under ``[vars]`` of a ``project.toml`` comes from the environment; true where it is no TOML."""
    import tomli

    try:
        return has_variable(str(tomli.loads(settings).get("vars", "")))
    except (ValueError, RecursionError):
        return True


def _hide_variables(text: str) -> tuple[str, list[str]]:
    """``text`` with a mark for each ``${NAME}``, so that their braces are not taken for ODBC's, and what they were."""
    names: list[str] = []

    def hide(found: re.Match[str]) -> str:
        if found["name"] is None:
            return "$\ue002"  # an escaped ${, which is text
        names.append(found[0])
        return f"\ue000{len(names) - 1}\ue001"

    return VARIABLE.sub(hide, re.sub("[\ue000-\ue002]", "\ufffd", text)), names


def _show_variables(text: str, names: list[str]) -> str:
    return _HIDDEN.sub(lambda found: names[int(found[1])], text).replace("$\ue002", "$${")


@dataclass(frozen=True, slots=True)
class ChangedValue:
    """A value that two versions of a file do not share, as it may be shown: None where the version does not have it.

    ``at`` are the keys that lead to it. Of a table that is new or gone there is one as well, under the table's name.
    """

    at: tuple[str, ...]
    before: str | None
    after: str | None


def changed_values(before: str, now: str) -> list[ChangedValue] | None:
    """What differs between two versions of a ``project.toml`` or ``workspace.toml``; None where one is not TOML.

    A table that is gone is one value. Secrets are masked, so both values of a change may be shown alike.
    """
    import tomli

    try:
        old, new = tomli.loads(before), tomli.loads(now)
    except (ValueError, RecursionError):
        return None
    values = [dict(_all_values(data)) for data in (old, new)]
    found = []
    for name in dict.fromkeys((*old, *new)):
        was, will = ({at: value for at, value in each.items() if at[0] == name} for each in values)
        if (name not in new or name not in old) and isinstance(new.get(name, old.get(name)), dict):
            found.append(ChangedValue((name,), *("" if name in data else None for data in (old, new))))
            was = {}
        for at in dict.fromkeys((*was, *will)):
            if at in was and at in will and json.dumps(was[at], default=str) == json.dumps(will[at], default=str):
                continue
            found.append(ChangedValue(at, *(_value(each[at], at) if at in each else None for each in (was, will))))
    return found


def _all_values(data: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Each value that is no table, or an empty one below another, with the keys that lead to it."""
    for name, value in data.items():
        if isinstance(value, dict) and (value or not at):
            yield from _all_values(value, (*at, name))
        else:
            yield (*at, name), value


def variable_names(settings: str) -> frozenset[str]:
    """The names of all ``${NAME}`` that a ``project.toml`` or ``workspace.toml`` fills in; none where it is no TOML."""
    import tomli

    try:
        values = str(list(_all_values(tomli.loads(settings))))
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(found["name"] for found in VARIABLE.finditer(values) if found["name"] is not None)


def mask_settings(before: str, now: str) -> tuple[str, str] | None:
    """Two versions of a ``project.toml`` as they may be shown and compared; None where one of them is not TOML.

    A value that is masked and yet differs is marked ``# changed``.
    """
    import tomli

    try:
        old, new = list(_leaves(tomli.loads(before))), list(_leaves(tomli.loads(now)))
    except (ValueError, RecursionError):
        return None
    earlier = {(table, key): (shown, value) for table, key, shown, value in old}
    marked = []
    for table, key, shown, value in new:
        was = earlier.get((table, key))
        marked.append((table, key, f"{shown}  # changed" if was and was[0] == shown and was[1] != value else shown))
    texts = _text((table, key, shown) for table, key, shown, _ in old), _text(marked)
    if before and now and texts[0] == texts[1] and before.strip() != now.strip():
        return texts[0], f"{texts[1]}\n# Only comments or the layout changed, which are not shown."
    return texts


def mask_connection(connection: str) -> str:
    """A connection string with the values of all options masked but for harmless ones and ``${NAME}``.

    One that a driver could not read is masked as a whole.
    """
    hidden, names = _hide_variables(connection)
    options, whole = parse_connection(hidden)
    if not _HIDDEN.sub("", hidden).strip():
        return connection
    if not whole:
        return MASK
    shown = []
    for name, value in options:
        harmless = re.sub(r"\s", "", name).lower() in HARMLESS_OPTIONS and not looks_secret(value)
        only_variables = not _HIDDEN.sub("", without_braces(value))
        shown.append(f"{name}={value if harmless or only_variables else MASK}")
    return _show_variables(";".join(shown), names)


def mask_sql(text: str) -> str:
    """SQL with the texts in it masked that look like a secret: a connection string, or what follows ``password =``."""
    text = re.sub(r"'[^'\n]*'", lambda found: f"'{MASK}'" if looks_secret(found[0]) else found[0], text)
    return re.sub(
        r"(?i)((?:pass(?:wd|word|phrase)?|pwd|secret|token|(?<!\w)\w*key|identified\s+by)\b[\"'\]]?(?:\s*(?::?=|,)\s*|\s+)N?)"
        r"'[^'\n]*'",
        rf"\1'{MASK}'",
        text,
    )


def _leaves(data: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, str, str, object]]:
    """Each value: its table, its dotted key in there, how it is shown, and what it is."""
    for name, value in data.items():
        here = (*at, name)
        if isinstance(value, dict) and (not at or len(_value(value, here)) > MAX_LINE_LENGTH):
            if not at:
                yield name, "", "", None
            yield from _leaves(value, here)
        elif at:
            yield at[0], ".".join(map(_key, here[1:])), _value(value, here), value
        else:
            yield "", _key(name), _value(value, here), value


def _text(leaves: Any) -> str:
    """The values in TOML, those of no table first."""
    lines = []
    for table, key, shown in sorted(leaves, key=lambda leaf: leaf[0] != ""):
        if key:
            lines.append(f"{key} = {shown}")
        else:
            lines += ["", f"[{_key(table)}]"]
    return "\n".join(lines).strip()


def _value(value: object, at: tuple[str, ...]) -> str:
    """A value in TOML, masked where it has to be."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(each, (*at, name))}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        items = [_value(each, at) for each in value]
        line = f"[{', '.join(items)}]"
        return line if len(line) <= MAX_LINE_LENGTH else "[\n" + "".join(f"    {each},\n" for each in items) + "]"
    if isinstance(value, str):
        return json.dumps(_masked(value, at), ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if secret_texts(str(value), at):
        return json.dumps(MASK)
    return str(value)


def _masked(text: str, at: tuple[str, ...]) -> str:
    hidden, _ = _hide_variables(text)
    if not _HIDDEN.sub("", hidden).strip():
        return text
    if at[-1] == "connection":
        return mask_connection(text)
    if at[-1] == "session":
        harmless = _SHOWN_STATEMENT.match(text) and not may_hold_secret(text)
        return text if harmless else f"{text.split(maxsplit=1)[0]} {MASK}"
    secret = bool(secret_texts(text, at)) or looks_secret(text) or at[:2] in _SECRET_ADDRESSES
    return MASK if secret or find_setting(at) is None else text


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
