"""Make a first view from the statement that an agent runs today, and say what differs in meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.errors import UsageError
from engine.mapping.agent_sql import read_agent_sql
from engine.mapping.check import resolve_column
from engine.model.fields import ACTIVE_WORDS, CUSTOMERS, PRODUCTS
from engine.quoting import alias
from engine.scaffold.sql_text import on_one_line, without_jinja

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.mapping.agent_sql import AgentColumn, AgentStatement
    from engine.model.fields import Entity, Field

OTHER_NAMES = {
    "products": {
        "active": "product_active",
        "code": "source_variant_code",
        "product_code": "source_product_code",
        "variant_code": "source_variant_code",
        "description": "body_html",
        "sku": "variants.sku",
        "qty": "variants.qty",
        "quantity": "variants.qty",
        "price": "variants.price",
        "barcode": "variants.barcode",
        "grams": "variants.grams",
        "weight": "variants.grams",
        "inventory_management": "variants.inventory_management",
        "option1": "variants.option1_value",
        "option2": "variants.option2_value",
        "option3": "variants.option3_value",
    },
    "customers": {
        "active": "customer_active",
        "code": "source_customer_code",
        "customer_code": "source_customer_code",
        "firstname": "first_name",
        "lastname": "last_name",
    },
}
"""Names that agents' statements give to fields, by entity; compared in lower case, with a dot as an underscore."""

REMOVING_WORDS = frozenset({"false", "f", "0", "no", "n"})
"""Words of the flag that remove a product where the agent runs; here they mean Ignore unless project.toml says more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenOver:
    """A view made from a statement: its entity and SQL, words that mean Delete, and what differs in meaning."""

    entity: str
    sql: str
    delete_words: tuple[str, ...]
    differences: tuple[str, ...]


def take_over(text: str, *, file: str, dialect: str) -> TakenOver:
    """Make a view from the text of ``file``, an agent's statement.

    Each column becomes a field of Stock2Shop's by its name. Constants that are blank are left out, and options of which
    no value is ever set. What cannot be known is a TODO that names the line in the file. Raises :class:`UsageError`
    where the text cannot be read, and where none of its columns identifies a product or a customer.
    """
    statement = read_agent_sql(text, dialect=dialect)
    names = {each.name.lower() for each in statement.columns}
    entity = CUSTOMERS if names & {"source_customer_code", "customer_active", "customer_code"} else PRODUCTS
    return _Taken(statement, entity, file, dialect).result()


class _Taken:
    """The columns of one statement, sorted into fields and what is left out."""

    def __init__(self, statement: AgentStatement, entity: Entity, file: str, dialect: str) -> None:
        self._statement = statement
        self._entity = entity
        self._file = on_one_line(file)
        self._dialect = dialect
        self._kept: dict[str, tuple[Field, AgentColumn]] = {}
        self._unknown: list[tuple[int, str]] = []
        self._blank: list[str] = []
        self._sort()

    def result(self) -> TakenOver:
        """The view and what is to be said about it."""
        flag = self._kept.get(self._entity.flag)
        return TakenOver(
            entity=self._entity.name,
            sql=without_jinja(self._view()),
            delete_words=() if flag is None else self._delete_words(flag[1]),
            differences=tuple(self._differences()),
        )

    def _sort(self) -> None:
        for column in self._statement.columns:
            field = self._field(column.name)
            if column.kind == "blank":
                self._blank.append(column.name if field is None else field.name)
            elif field is None:
                close = self._entity.suggest(column.name)
                guess = f", or is it {' or '.join(close)}?" if close else ""
                text = on_one_line(f"{column.expression} as {column.name or '?'}")
                message = f"`{text}` is left out: no field is called so. As an attribute it is meta_"
                self._unknown.append((column.line, f"{message}{column.name or 'NAME'}{guess}"))
            elif field.name in self._kept:
                self._unknown.append((column.line, f"{field.name} appears twice: this one is left out"))
            else:
                self._kept[field.name] = (field, column)
        for field, column in list(self._kept.values()):
            if field.role == "option_name" and column.kind == "constant":
                value = f"variants.option{field.position}_value"
                if value not in self._kept:
                    del self._kept[field.name]
                    self._blank.append(field.name)
        if self._entity.key not in self._kept:
            raise UsageError(
                f"No column of {self._file} is called {self._entity.key}.",
                hint="That is the name by which Stock2Shop knows a row. Give the column this alias in the file.",
            )

    def _field(self, name: str) -> Field | None:
        found = resolve_column(name, self._entity) if name else None
        if found is not None:
            return found
        plain = re.sub(r"[.\s]+", "_", name.strip().lower())
        plain = re.sub(r"^variants?_", "", plain)
        known = OTHER_NAMES[self._entity.name].get(plain)
        for spelling in filter(None, (known, f"variants.{plain}", plain)):
            found = resolve_column(spelling, self._entity)
            if found is not None:
                return found
        return None

    def _view(self) -> str:
        order = [field.name for field in self._entity.fields]
        kept = sorted(self._kept.values(), key=lambda each: order.index(each[0].name) if each[0].name in order else 99)
        lines = [
            f"-- Taken over from {self._file} by `s2s init`. Each TODO names a line there: decide it, then remove it.",
        ]
        lines += [f"-- TODO line {line}: {on_one_line(message)}" for line, message in self._todos()]
        lead = f" {self._statement.lead}" if self._statement.lead else ""
        parts = []
        for field, column in kept:
            comments = "".join(f"    -- TODO line {column.line}: {each}\n" for each in self._doubts(field, column))
            parts.append(f"{comments}    {column.expression} as {alias(field.name, self._dialect)}")
        missing = [
            f"    -- TODO: no column gives {field.name}, which Stock2Shop requires"
            for field in self._entity.required(linked=False)
            if field.name not in self._kept
        ]
        body = ",\n".join(parts)
        return "\n".join(
            [*lines, f"{self._statement.head}select{lead}", body, *missing, self._statement.tail.rstrip(), ""]
        )

    def _todos(self) -> list[tuple[int, str]]:
        return sorted([*self._unknown, *((each.line, each.message) for each in self._statement.notes)])

    def _doubts(self, field: Field, column: AgentColumn) -> Iterator[str]:
        if field.name != self._entity.flag:
            return
        if not column.complete and column.kind == "expression":
            yield "which words does the column hold? Those that removed a row belong to Delete in project.toml"
        strange = [each for each in column.results if each.strip().lower() not in ACTIVE_WORDS]
        if strange:
            yield f"what do these words mean: {', '.join(map(repr, map(on_one_line, strange)))}? See `active`"

    @staticmethod
    def _delete_words(column: AgentColumn) -> tuple[str, ...]:
        words = tuple(each for each in column.results if each.strip().lower() in REMOVING_WORDS)
        return words if words or column.complete else ("false",)

    def _differences(self) -> Iterator[str]:
        """What a run of the new project does in another way than the agent did."""
        flag = self._kept.get(self._entity.flag)
        if self._statement.paged:
            yield "Paging is gone: each run reads all rows at once, and sends only what changed."
        if flag is not None and self._delete_words(flag[1]):
            words = ", ".join(map(repr, self._delete_words(flag[1])))
            yield f"{words} in {self._entity.flag} removes the row at Stock2Shop, as today: project.toml says so."
        if flag is not None and ("" in flag[1].results or not flag[1].complete):
            yield (
                f"A blank {self._entity.flag} means Ignore: the row is neither sent nor removed, and what Stock2Shop"
                " holds of it stays there."
            )
        yield (
            'A key that the view no longer gives is removed at Stock2Shop: `missing = "delete"` in project.toml. Ask'
            ' what happens today, and write "keep" where it stays.'
        )
        if self._blank:
            yield f"Always blank, so left out: {', '.join(self._blank)}. What Stock2Shop holds there is not changed."
        if re.search(r"(?i)\bnolock\b|read\s+uncommitted", self._statement.tail):
            yield (
                "The statement reads with NOLOCK: while the ERP writes, rows can be skipped or appear twice. A skipped"
                " row looks like one that is gone. Read `s2s help sql-server`, and remove the hint if you can."
            )
        yield "Rows with faults, such as a blank title or a repeated SKU, are held back and reported, and not sent."
        todos = len(self._todos())
        if todos:
            yield f"{todos} {'line' if todos == 1 else 'lines'} of {self._file} could not be taken over as they are."


def taken_over_readme(name: str, file: str, differences: Sequence[str]) -> str:
    """The README of a project that was taken over: what to go through before the old agent is switched off."""
    points = "".join(f"- [ ] {each}\n" for each in differences)
    return (
        f"# {name}\n\nIts view was taken over from `{on_one_line(file)}`, the statement of the agent before it.\n\n"
        f"## What differs in meaning\n\n{points}"
    )
