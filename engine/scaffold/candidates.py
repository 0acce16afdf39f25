"""Find the SQL expressions that may feed a field: in an item's own table, and in those that belong to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.quoting import literal
from engine.scaffold.catalogue import letters_and_digits
from engine.scaffold.ranking import best_match, records_transactions, sells, weigh
from engine.scaffold.sql_text import spell_name
from engine.scaffold.vocabulary import (
    COLUMN_PATTERNS,
    DEFAULT_SCHEMAS,
    EMPTY_WORDS,
    LANGUAGE_COLUMNS,
    PART_WORDS,
    PRICE_LIST_COLUMNS,
    REFERENCE_PREFIXES,
    RELATED_FIELDS,
    TABLE_PATTERNS,
    WAREHOUSE_COLUMNS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.scaffold.catalogue import Catalogue, Table
    from engine.scaffold.vocabulary import WeightedPatterns

    Ask = Callable[[str, int], list[list[str | None]]]

CLEAR_WEIGHT = 3
"""The weight from which the name of a column is not a guess."""

AMOUNT_FIELDS = frozenset({"csv_price_tiers", "variants.qty"})
"""Fields that numbers feed."""

NUMBER_TYPES = re.compile(r"(?<!po)int\b|integer|num|dec|serial|real|double|float|money|currency|\b(long|short|byte)\b")
"""Types of numbers, in lower case, by what databases call them."""

MAX_SHOWN_CODES = 6
"""How many codes of languages, price lists or warehouses are named."""

SAFE_CODE = re.compile(r"[A-Za-z0-9_.-]{1,12}")
"""A value that may stand in a view: a short code. Nothing else goes from the database into a proposal."""

SIDE_PRICES = frozenset(
    {
        "special",
        "specials",
        "discount",
        "discounts",
        "reward",
        "supplier",
        "suppliers",
        "vendor",
        "purchase",
        "cost",
        "costs",
    }
    | {"option", "options", "attribute", "tax", "fournisseur", "lieferant", "catalog", "rule", "reduction", "history"}
)
"""Words in the names of tables with prices that are not those of a price list."""

PARENT_FIELDS = {
    "vendor": re.compile(r"manufacturer|brand|vendor|supplier|hersteller|marke|marque|marca|merk|fabri[ck]ant"),
    "product_type": re.compile(r"categ|kateg|group|gruppe|groep|types?$|class|department|famil|genre|rubro"),
}
"""Fields that are the name in a table that items refer to, and what such a table is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A SQL expression that may feed a field, how likely it is, and a question about it or blank."""

    expression: str
    weight: float
    doubt: str = ""
    table: str = ""
    column: str = ""


class Finder:
    """Finds what may feed the fields of one entity from one main table.

    ``ask`` runs a SELECT and gives at most so many rows, none where the database refuses it. ``highest`` holds the
    highest value of columns, as far as it is known.
    """

    def __init__(self, entity: str, catalogue: Catalogue, table: Table, *, dialect: str, ask: Ask) -> None:
        self._entity = entity
        self._catalogue = catalogue
        self._main = table
        self._dialect = dialect
        self._ask = ask
        self.highest: Mapping[str, str | None] = {}
        self.key = ""
        self._attributes: list[tuple[str, Origin]] | None = None

    def table(self, table: Table) -> str:
        """A table's name as SQL."""
        parts = [table.name] if table.schema.lower() in DEFAULT_SCHEMAS else [table.schema, table.name]
        return ".".join(spell_name(part, self._dialect) for part in parts)

    def column(self, table: Table, column: str) -> str:
        """A column's name as SQL."""
        return f"{spell_name(table.name, self._dialect)}.{spell_name(column, self._dialect)}"

    def codes(self) -> list[Origin]:
        """What may identify a row, the likeliest first; the primary key last."""
        words = COLUMN_PATTERNS[self._entity]["code"]
        found = [
            Origin(expression=self.column(self._main, each), weight=weigh(words, each), column=each)
            for each in self._main.columns
            if weigh(words, each)
        ]
        found += [origin for name, origin in self.attributes() if weigh(words, name) > 1]
        key = self._main.single_key
        if key is not None and all(each.column != key for each in found):
            found.append(Origin(expression=self.column(self._main, key), weight=0.5, column=key))
        return sorted(found, key=lambda each: -each.weight)

    def origins(self, field: str) -> list[Origin]:
        """What may feed a field, the likeliest first."""
        found = [*self._own(field), *self._from_attributes(field)]
        if self._entity == "products":
            found += self._from_parents(field)
        related = next((each for each in RELATED_FIELDS[self._entity] if each[0] == field), None)
        if related is not None:
            found += self._from_children(*related)
        unique = {each.expression: each for each in reversed(found)}
        return sorted(unique.values(), key=lambda each: -each.weight)

    def named(self, text: str, field: str) -> str:
        """The expression for what a person names: a column, a table with a column, or SQL as it is."""
        wanted = text.strip()
        own = next((each for each in self._main.columns if each.lower() == wanted.lower()), None)
        if own is not None:
            return self.column(self._main, own)
        table_name, _, column_name = wanted.rpartition(".")
        table = self._catalogue.find(table_name) if re.fullmatch(r'[\w."\[\]` -]+', table_name) else None
        column = next((each for each in table.columns if each.lower() == column_name.lower()), None) if table else None
        if table is None or column is None:
            return wanted
        if table is self._main:
            return self.column(table, column)
        aggregate = "sum" if field == "variants.qty" else "max"
        joined = self._joined(table)
        if joined is None:
            return wanted
        return self._subquery(aggregate, table, column, joined, "")

    def attributes(self) -> list[tuple[str, Origin]]:
        """Values by name in tables of attributes that refer to the main table: their names and expressions."""
        if self._attributes is None:
            self._attributes = [
                found
                for child, theirs, ours in self._catalogue.referring(self._main).values()
                for found in self._attributes_of(child, theirs, ours)
            ]
        return self._attributes

    def seen(self) -> Iterator[str]:
        """What related tables may hold that is not proposed, as questions."""
        children = [child for child, _, _ in self._catalogue.referring(self._main).values()]
        children = [each for each in children if not each.view and not records_transactions(each)]
        parents = [parent for parent, _, _ in self._catalogue.parents(self._main)]
        for pattern, what in (
            (r"attribute|option|combination|variant|feature|matrix|colou?r|size", "options (variants.option1_value)"),
            (r"price|pric|tarif|prijs|preis", "more price lists (price_NAME)"),
            (r"warehouse|stock|bin|inventory|location|lager|depot|quant|whse", "warehouses (qty_NAME)"),
            (r"categor|kategor|group", "categories (collection or product_type)"),
            (r"image|media|photo", "images (image1)"),
        ):
            names = [each.name for each in (*children, *parents) if re.search(pattern, each.letters)]
            if names:
                yield f"{', '.join(sorted(set(names))[:5])} may hold {what}"

    def _own(self, field: str) -> Iterator[Origin]:
        words = COLUMN_PATTERNS[self._entity][field]
        for each in fitting_columns(field, words, self._main):
            weight = weigh(words, each)
            if each == self.key:
                continue
            doubt = "" if weight >= CLEAR_WEIGHT else "a guess by the column's name alone"
            if str(self.highest.get(each, "x") or "").strip().lower() in EMPTY_WORDS:
                yield Origin(
                    expression=self.column(self._main, each),
                    weight=weight - 4.5,
                    doubt="every row is blank or 0 there",
                    column=each,
                )
            else:
                yield Origin(expression=self.column(self._main, each), weight=weight + 2, doubt=doubt, column=each)

    def _from_attributes(self, field: str) -> Iterator[Origin]:
        words = COLUMN_PATTERNS[self._entity][field]
        for name, origin in self.attributes():
            weight = weigh(words, name)
            if weight:
                yield Origin(expression=origin.expression, weight=weight + 1, doubt=origin.doubt, table=origin.table)

    def _from_parents(self, field: str) -> Iterator[Origin]:
        called = PARENT_FIELDS.get(field)
        item = TABLE_PATTERNS["products"][0]
        for parent, ours, theirs in self._catalogue.parents(self._main):
            if not theirs or theirs not in parent.columns:
                continue
            if called is not None:
                words, fits = COLUMN_PATTERNS["products"]["title"], bool(called.search(parent.letters))
            else:
                part = any(PART_WORDS.fullmatch(word) for word in parent.words if word not in {"template", "models"})
                words, fits = COLUMN_PATTERNS["products"][field], bool(re.search(item, parent.letters)) and not part
            weight, column = best_match(words, fitting_columns(field, words, parent))
            if fits and weight:
                expression = self._subquery("", parent, column, (theirs, ours), "")
                yield Origin(expression=expression, weight=weight if called is None else 2, table=parent.name)

    def _from_children(self, field: str, hint: str, one: str, question: str) -> Iterator[Origin]:
        words = COLUMN_PATTERNS[self._entity][field]
        for child in self._catalogue.tables:
            weight, column = best_match(words, fitting_columns(field, words, child))
            joined = self._joined(child) if weight and child is not self._main else None
            if joined is None or (field == "title" and not self._language(child)):
                continue
            named = bool(re.search(hint, child.letters))
            passing = records_transactions(child)
            if field == "variants.qty" and (child.view or passing or sells(child)):
                continue
            if field == "csv_price_tiers" and (SIDE_PRICES & set(child.words) or (passing and not named)):
                continue
            score = weight + 1.5 * named - 2 * (passing and not named) - 2 * child.view - 3 * (not named)
            where, doubt = self._narrowed(field, child, question)
            theirs, ours = joined
            yield Origin(
                expression=self._subquery(one, child, column, joined, where),
                weight=score,
                doubt=f"{doubt} And do {child.name}.{theirs} and {self._main.name}.{ours} belong together?",
                table=child.name,
                column=column,
            )

    def _narrowed(self, field: str, child: Table, question: str) -> tuple[str, str]:
        """A condition that leaves one language or price list of a table, or its totals; and the question to ask."""
        pattern = {"title": LANGUAGE_COLUMNS, "csv_price_tiers": PRICE_LIST_COLUMNS}.get(field)
        if pattern is None:
            return self._totals(child, question)
        column = next((each for each in child.columns if pattern.search(letters_and_digits(each))), None)
        if column is None:
            return "", question
        name = self.column(child, column)
        rows = self._ask(
            f"select {name}, count(*) from {self.table(child)} group by {name} order by 2 desc, 1",  # noqa: S608 - names
            MAX_SHOWN_CODES + 1,
        )
        codes = [str(code) for code, _ in rows if code is not None]
        if len(codes) < 2 or not all(SAFE_CODE.fullmatch(each) for each in codes):  # noqa: PLR2004 - one is no choice
            return "", "" if len(codes) == 1 and field == "title" else question
        shown = ", ".join(codes[:MAX_SHOWN_CODES]) + (", …" if len(codes) > MAX_SHOWN_CODES else "")
        number = NUMBER_TYPES.search(child.columns[column])
        value = codes[0] if number and re.fullmatch(r"[\d.]+", codes[0]) else literal(codes[0], self._dialect)
        return f" and {name} = {value}", f"{question[:-1]}: {column} is one of {shown}?"

    def _totals(self, child: Table, question: str) -> tuple[str, str]:
        """Where a table has rows of variants beside totals, the condition that leaves the totals."""
        for column in child.columns:
            letters = letters_and_digits(column)
            variant = re.fullmatch(r"(id)?(product|item)(attribute|variant|combination|option)(id)?", letters)
            if variant:
                name = self.column(child, column)
                rows = self._ask(f"select count(*) from {self.table(child)} where {name} = 0", 1)  # noqa: S608 - names
                if rows and rows[0][0] not in {None, "0"}:
                    return f" and {name} = 0", f"rows with {column} = 0 are the totals of an item?"
        column = next((each for each in child.columns if WAREHOUSE_COLUMNS.search(letters_and_digits(each))), "")
        return "", f"{question[:-1]}, whatever {column} is?" if column else question

    def _attributes_of(self, child: Table, theirs: str, ours: str) -> Iterator[tuple[str, Origin]]:
        letters = {letters_and_digits(each): each for each in child.columns}
        value = next((letters[each] for each in ("metavalue", "value", "attributevalue") if each in letters), None)
        if value is None or records_transactions(child):
            return
        name = next(
            (letters[each] for each in ("metakey", "attributecode", "attributename", "key") if each in letters), None
        )
        if name is not None:
            column = self.column(child, name)
            rows = self._ask(f"select distinct {column} from {self.table(child)}", 300)  # noqa: S608 - names
            keys = [(str(key), literal(str(key), self._dialect)) for (key,) in rows if key is not None]
        elif "attributeid" in letters:
            column = self.column(child, letters["attributeid"])
            keys = self._attribute_numbers(child, letters["attributeid"])
        else:
            return
        for key, number in keys:
            if SAFE_CODE.fullmatch(key.strip("_")) or re.fullmatch(r"\w{1,40}", key):
                expression = self._subquery("max", child, value, (theirs, ours), f" and {column} = {number}")
                yield (
                    key,
                    Origin(
                        expression=expression, weight=3, doubt=f"is {key} in {child.name} the one?", table=child.name
                    ),
                )

    def _attribute_numbers(self, child: Table, number: str) -> list[tuple[str, str]]:
        """The names and numbers of the attributes that a table of values holds."""
        for table in self._catalogue.tables:
            letters = {letters_and_digits(each): each for each in table.columns}
            name = letters.get("attributecode") or letters.get("attributename")
            if name and "attributeid" in letters and table is not child:
                code, own = self.column(table, name), self.column(table, letters["attributeid"])
                rows = self._ask(
                    f"select distinct {code}, {own} from {self.table(table)}, {self.table(child)}"  # noqa: S608 - names
                    f" where {own} = {self.column(child, number)}",
                    300,
                )
                return [(str(key), str(at)) for key, at in rows if key and at and re.fullmatch(r"\d+", str(at))]
        return []

    def _language(self, child: Table) -> bool:
        return any(LANGUAGE_COLUMNS.search(letters_and_digits(each)) for each in child.columns)

    def _subquery(self, one: str, table: Table, column: str, joined: tuple[str, str], where: str) -> str:
        name = self.column(table, column)
        theirs, ours = joined
        return (
            f"(select {f'{one}({name})' if one else name} from {self.table(table)}"  # noqa: S608 - names
            f" where {self.column(table, theirs)} = {self.column(self._main, ours)}{where})"
        )

    def _joined(self, table: Table) -> tuple[str, str] | None:
        """The columns that join another table to the main one: the other's and its own; None where there are none."""
        known = self._catalogue.referring(self._main).get(table.name)
        if known is not None:
            return known[1], known[2]
        return join_columns(self._entity, self._main, self.key, table)


def fitting_columns(field: str, words: WeightedPatterns, table: Table) -> list[str]:
    """The columns of a table that may feed a field by their names; of an amount, those of numbers where there are any.

    A text that is called like an amount is often the code of something: a warehouse, a price list.
    """
    named = [each for each in table.columns if weigh(words, each)]
    numbers = [each for each in named if NUMBER_TYPES.search(table.columns[each])]
    return numbers if field in AMOUNT_FIELDS and numbers else named


def join_columns(entity: str, item: Table, key: str, table: Table) -> tuple[str, str] | None:
    """The columns by whose names a table belongs to an item's: its own and the item's; None where there are none."""
    whose = REFERENCE_PREFIXES[entity]
    for column in table.columns:
        if letters_and_digits(column) == letters_and_digits(key):
            return column, key
    number = next((each for each in item.columns if re.search(rf"^{whose}?(id|link)$", letters_and_digits(each))), None)
    for column in table.columns:
        if number is not None and re.search(rf"^(i|wh)?{whose}(id|link)$", letters_and_digits(column)):
            return column, number
        if re.search(rf"^{whose}(code|no|num|number)?$", letters_and_digits(column)):
            return column, key
    return None


def first_of(origins: Sequence[Origin]) -> Origin | None:
    """The likeliest of what may feed a field, unless even that is a poor guess."""
    return origins[0] if origins and origins[0].weight > 0 else None
