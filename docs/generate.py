"""Write the reference pages that the code itself knows best: fields, commands, settings, rules, SQL.

``python docs/generate.py`` writes them; a test fails when one is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tomli

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from output_schema import output_page, output_schema  # noqa: E402 - as above

from engine.config.schema import schema  # noqa: E402 - as above
from engine.model.fields import ACTIVE_WORDS, ENTITIES  # noqa: E402 - the checkout's own engine
from engine.orders.rules import RULES as ORDER_RULES  # noqa: E402 - as above
from engine.sync.rules import RULES  # noqa: E402 - as above

MADE = "<!-- Made by `just docs`; edit the code, not this page. -->\n\n"
SURE = {"P": "public", "I": "inferred", "U": "unknown"}


def fields() -> str:
    """Every field name of the contract."""
    parts = ["# Fields\n\n", MADE, "The column aliases that a view may use. Names with a dot are quoted in SQL.\n"]
    for entity in ENTITIES.values():
        parts.append(
            f"\n## {entity.name.capitalize()}\n\nOne row a {entity.fields[1].level}; `{entity.key}` is its key.\n\n"
        )
        parts.append("| field | also written | level | type | | meaning | sure |\n|---|---|---|---|---|---|---|\n")
        for field in entity.fields:
            need = "required" if field.required else "minimum" if field.recommended else ""
            also = ", ".join(f"`{alias}`" for alias in field.aliases)
            row = (f"`{field.name}`", also, field.level, field.type, need, field.meaning, SURE[field.confidence])
            parts.append(f"| {' | '.join(row)} |\n")
    parts.append(
        "\n*required* is what Stock2Shop's API needs, *minimum* what its guide for custom databases asks for. *sure* says"
        " whether Stock2Shop's public pages state the field, or whether it is inferred from several of them.\n"
        "\nWhere a database knows no dots in names, as Access does, two underscores stand for one: `variants__qty`.\n"
        "\n## The active flag\n\nThe words that are known without a project saying so; case and outer blanks do not"
        " matter.\n\n| flag | words |\n|---|---|\n"
    )
    for flag in ("Active", "Delete", "Ignore"):
        words = ", ".join(f"`{word}`" if word else "blank" for word, meaning in ACTIVE_WORDS.items() if meaning == flag)
        parts.append(f"| {flag} | {words} |\n")
    parts.append(
        "\n`no`, `false` and `0` mean Ignore, not Delete: an untouched tick box must never remove a product. A project"
        ' whose box means Delete says so: `active = { Delete = ["No"] }`. A word that nobody knows quarantines its row.\n'
    )
    return "".join(parts)


def rules() -> str:
    """Every rule, its severity, reason and remedy."""
    parts = [
        "# Rules\n\n",
        MADE,
        (
            "An error quarantines the row: it is not sent and not removed, and leaves quarantine automatically when its source is"
            " fixed. A warning is sent and reported.\n\n| rule | severity | what is wrong | what to do |\n|---|---|---|---|\n"
        ),
    ]
    parts += [f"| `{name}` | {rule.severity} | {rule.reason} | {rule.remedy} |\n" for name, rule in RULES.items()]
    parts.append(
        "\n## Orders\n\nAn order that breaks one of these waits in the ledger, with nothing of it in the database, until it"
        " is retried or skipped.\n\n| rule | what is wrong | what to do |\n|---|---|---|\n"
    )
    parts += [f"| `{name}` | {broken.reason} | {broken.remedy} |\n" for name, broken in ORDER_RULES.items()]
    return "".join(parts)


def settings() -> str:
    """Every key of project.toml."""
    document = schema()
    parts = [
        "# project.toml\n\n",
        MADE,
        (
            "`${NAME}` in any text comes from the environment, else from `.env` in the project's folder, else from the"
            " workspace's; `$${` writes `${` itself. Unknown keys are errors. The JSON Schema for editors is"
            " [project.schema.json](project.schema.json).\n"
        ),
    ]
    tables = list(document["properties"].items())
    told: set[str] = set()
    for name, part in tables:
        table = _resolved(part, document)
        parts.append(f"\n## [{name}]\n\n{table.get('description') or part.get('description', '')}\n")
        keys = table.get("properties")
        if not keys:
            continue
        parts.append("\n| key | type | default | meaning |\n|---|---|---|---|\n")
        required = set(table.get("required", ()))
        for key, about in keys.items():
            default = "required" if key in required else f"`{json.dumps(about.get('default'))}`"
            default = "" if default == "`null`" else default
            inner = _resolved(about, document)
            if inner is not about and inner["title"] not in told:
                # One table may stand in two places: what must hold of products and of customers is said the same way.
                told.add(inner["title"])
                several = "additionalProperties" in about
                tables.append((f"{name}.{key}{'.ID' if several else ''}", about))
            meaning = about.get("description") or ("" if inner is about else inner["description"])
            parts.append(f"| `{key}` | {_type(about)} | {default} | {meaning} |\n")
    return "".join(parts)


CONSTRUCTS = HERE.parent / "tests" / "mapping" / "constructs"
DATABASES = {"postgres": "PostgreSQL", "mysql": "MySQL and MariaDB", "sqlite": "SQLite"}
OTHER_DATABASES = {
    "tsql": "SQL Server",
    "oracle": "Oracle",
    "hana": "SAP HANA",
    "firebird": "Firebird",
    "pervasive": "Pervasive",
}


def accepted_sql() -> str:
    """Every expression that was compared between a database and the fixtures."""
    parts = [
        "# SQL that runs on fixtures\n\n",
        MADE.replace("the code", "tests/mapping/constructs"),
        (
            "Each expression under *equal* gave on fixtures what the database gave, for rows with NULL, blanks, ties,"
            " negatives, many digits, ends of months and leap days. Each under *refused* is refused, with its place in"
            " the template. The columns are those of the tests; your own columns and values take their place. Whether a"
            " number is whole, and how many decimals it has, is known of columns whose type is declared: see"
            " [Make fixtures](../mapping-reviews.md#make-fixtures).\n"
        ),
    ]
    for dialect, name in DATABASES.items():
        parts.append(f"\n## {name}\n")
        for topic, found in tomli.loads((CONSTRUCTS / f"{dialect}.toml").read_text("utf-8")).items():
            parts.append(f"\n### {topic.capitalize()} ({name})\n\nEqual:\n\n```sql\n")
            parts += [f"{expression}\n" for expression in found["equal"]]
            parts.append("```\n")
            refused = found.get("refused")
            if refused:
                parts.append("\nRefused:\n\n```sql\n")
                parts += [f"{expression}\n" for expression in refused]
                parts.append("```\n")
    parts.append(
        "\n## Databases that the tests have none of\n\nWhat their manuals say is compared with what comes of it on"
        " fixtures.\n\n| database | SQL | manual |\n|---|---|---|\n"
    )
    for case in tomli.loads((CONSTRUCTS / "documented.toml").read_text("utf-8"))["documented"]:
        sql = case["select"].replace("|", "\\|")
        parts.append(f"| {OTHER_DATABASES[case['dialect']]} | `{sql}` | [page]({case['page']}) |\n")
    return "".join(parts)


def _resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    options = [part, *part.get("anyOf", ()), *part.get("allOf", ()), part.get("additionalProperties") or {}]
    reference = next((option["$ref"] for option in options if isinstance(option, dict) and "$ref" in option), None)
    found: dict[str, Any] = document["$defs"][reference.rsplit("/", 1)[1]] if reference else part
    return found


def _type(about: dict[str, Any]) -> str:
    # A text that only holds the place of ${NAME} is said once, at the head of the page.
    options = [each for each in _options(about) if not str(each.get("pattern", "")).startswith(r"\$\{")]
    words: list[str] = []
    for option in options:
        kind = "table" if "$ref" in option else option.get("type", "")
        kind = {"object": "table", "array": "list", "null": ""}.get(kind, kind)
        words += [f"`{value}`" for value in option["enum"] if value is not None] if "enum" in option else [kind]
    return " or ".join(dict.fromkeys(word for word in words if word))


def _options(about: dict[str, Any]) -> list[dict[str, Any]]:
    """What a key may be, out of an anyOf in an anyOf."""
    return [each for option in about["anyOf"] for each in _options(option)] if "anyOf" in about else [about]


def commands() -> str:
    """Every command with its arguments and options."""
    from engine.cli.app import command_tree
    from engine.cli.examples import EXAMPLES

    parts = ["# Commands\n\n", MADE, "`s2s --help` and `s2s COMMAND --help` say the same.\n"]

    def walk(command: Any, name: str) -> None:
        nested = getattr(command, "commands", None)
        parts.append(f"\n## {name}\n\n{(command.help or '').strip()}\n")
        examples = EXAMPLES.get(name.removeprefix("s2s").strip())
        if examples:
            parts.append("\n```\n" + "\n".join(examples) + "\n```\n")
        rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            parts.append("\n| argument or option | meaning |\n|---|---|\n")
            parts.extend(rows)
        for child in (nested or {}).values():
            walk(child, f"{name} {child.name}")

    walk(command_tree(), "s2s")
    parts.append(
        "\n## Exit codes\n\n| code | meaning |\n|---|---|\n| 0 | done |\n| 1 | failed: the source, Stock2Shop or the state |\n"
        "| 2 | usage or configuration |\n| 3 | a guard stopped it; nothing was sent |\n"
        "| 4 | done, but something is quarantined or refused |\n| 75 | another run holds the project |\n"
        "| 130 | stopped by a signal, between two batches |\n\nOf several projects, the gravest code is given:"
        " 1, 2, 130, 3, 75, 4, 0.\n"
    )
    return "".join(parts)


def _parameter(parameter: Any) -> str:
    options = [*parameter.opts, *parameter.secondary_opts]
    name = ", ".join(f"`{option}`" for option in options if option.startswith("-")) or f"`{parameter.name.upper()}`"
    return f"| {name} | {getattr(parameter, 'help', '') or ''} |\n"


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    reference = HERE / "reference"
    return {
        reference / "fields.md": fields(),
        reference / "rules.md": rules(),
        reference / "accepted-sql.md": accepted_sql(),
        reference / "project.md": settings(),
        reference / "commands.md": commands(),
        reference / "project.schema.json": json.dumps(schema(), indent=2) + "\n",
        reference / "output.md": output_page(MADE),
        reference / "output.schema.json": json.dumps(output_schema(), indent=2, ensure_ascii=False) + "\n",
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
