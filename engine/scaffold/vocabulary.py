"""The words by which tables and columns of ERP databases are recognized, in English and Afrikaans.

Patterns are matched against names in lower case, reduced to letters and digits. A weight says how clearly a match tells
what a column is, from 1 (a guess) to 5.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_SCHEMAS = re.compile(
    r"information_schema|pg_.*|sys|system|mysql|performance_schema|_sys_.*|ctxsys|mdsys|xdb", re.IGNORECASE
)
"""Schemas of the database system itself."""

SYSTEM_TABLES = re.compile(r"sqlite_.*|msys.*|rdb\$.*|mon\$.*", re.IGNORECASE)
"""Tables of the database system itself, where it has no schemas."""

RESERVED_WORDS = frozenset(
    [
        "date",
        "default",
        "desc",
        "description",
        "from",
        "group",
        "index",
        "key",
        "level",
        "name",
        "number",
        "option",
        "order",
        "select",
        "size",
        "status",
        "table",
        "text",
        "type",
        "user",
        "value",
        "values",
        "where",
    ]
)
"""Names that are quoted because they are keywords in some database."""

CASE_FOLDING = {
    "postgres": str.lower,
    "redshift": str.lower,
    "oracle": str.upper,
    "hana": str.upper,
    "firebird": str.upper,
}
"""How a dialect changes the case of unquoted names. The other dialects compare names without case."""

DEFAULT_SCHEMAS = frozenset({"", "public", "main", "dbo"})
"""Schemas whose tables are found without naming the schema."""

WeightedPatterns = tuple[tuple[str, int], ...]

RELATED_FIELDS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "products": (
        ("csv_price_tiers", r"pric|list|itm1|mult", "max", "which price list?"),
        ("variants.qty", r"wh|ware|stock|stk|loc|inv|store|bin|oitw|mult", "sum", "of all warehouses?"),
    ),
    "customers": (("email", r"address|contact|mail|cust|client|debtor", "max", "which of several?"),),
}
"""By entity: fields that are often in another table. Each has a pattern for the names of such tables, the aggregate
that makes one value of several rows, and the question to ask."""

ITEM_WORDS = r"(stock|stk|item|itm|product|prod|inv|inventory|part|sku|article|artikel|material|simple)"

COLUMN_PATTERNS: Mapping[str, Mapping[str, WeightedPatterns]] = {
    "products": {
        "code": (
            (rf"^{ITEM_WORDS}(code|no|num|number|key)$", 5),
            (r"^(code|sku|kode)$", 4),
            (rf"^{ITEM_WORDS}?(master)?(code|sku)$", 4),
            (rf"^{ITEM_WORDS}?id$", 1),
        ),
        "title": (
            (rf"^{ITEM_WORDS}?(description|desc|descr|descript|name|title)(1|line1)?$", 5),
            (r"^(long|full|web)(description|desc|name|title)$", 2),
            (r"^(beskrywing|naam)$", 4),
        ),
        "csv_price_tiers": (
            (r"^(sell|selling|retail|list|excl|incl|unit|base)?(price|prices|prys)(1|01|a|incl|excl)?$", 5),
            (r"^f?(incl|excl)price(1|01)?$", 4),
            (r"^(sell|selling)(price)?(inc|incl|ex|excl)?(1|01)?$", 4),
            (r"^amount$", 1),
        ),
        "variants.qty": (
            (r"^(wh|o)?(qty|quantity|stock|inv)?(available|avail|onhand|inhand)(qty)?$", 5),
            (r"^(qty|quantity|soh|stockonhand|voorraad)$", 4),
        ),
        "variants.barcode": ((r"barcode|codebars|^ean|gtin|^upc", 5),),
        "product_active": (
            (r"stock2shop|s2s|^(item|stock)?web(item|status|active|enabled|flag|shop|yn)?$", 4),
            (r"^(item|product)?(active|inactive|blocked|discontinued|frozen.*|isactive)$", 2),
        ),
        "vendor": ((r"^(brand|c?brand(name)?|vendor|supplier|manufacturer|make|merk)$", 4),),
        "product_type": ((r"^(category|(item|stock|product)(group|category|type)|department|class)$", 3),),
        "variants.grams": ((r"^(weight|unitweight|grams|mass)(kg|g)?$", 2),),
    },
    "customers": {
        "code": (
            (r"^(customer|client|debtor|cust|card|account|acc)(code|no|num|number)$", 5),
            (r"^(account|customer|accno|code|custno|idcust)$", 4),
            (r"^(customer|client)?id$", 1),
        ),
        "email": ((r"e?mail(address)?1?$", 5),),
        "first_name": (
            (r"^(contact|firstname|contactperson|contactname|forename)$", 4),
            (r"^(card|customer|client|debtor|cust)?name(cust)?$", 2),
        ),
        "last_name": ((r"^(surname|lastname)$", 4),),
        "customer_active": (
            (r"stock2shop|s2s|web(status|active|enabled|flag)?$", 4),
            (r"^(customer|client)?(active|inactive|blocked|onhold|status|frozen.*|isactive)$", 2),
        ),
        "address1.phone": ((r"^(tele?)?phone(no|number)?1?$|^mobile$", 4),),
    },
}
"""By entity and field: patterns for names of columns, with weights."""

REFERENCE_PREFIXES = {"products": ITEM_WORDS, "customers": r"(customer|client|debtor|cust|card|acc|account)"}
"""By entity: a pattern for the beginning of columns that refer to it."""

TABLE_PATTERNS: Mapping[str, tuple[str, str]] = {
    "products": (ITEM_WORDS + r"|goods", r"customer|client|debtor|supplier|vendor|employee"),
    "customers": (r"customer|client|debtor|cust|card|member|ocrd", r"supplier|vendor|creditor|employee|contactlog"),
}
"""By entity: a pattern for likely names of its table, and one for names that it never has."""

TRANSACTION_TABLES = re.compile(
    r"hist|trans|trn|log|tmp|temp|bak|backup|old|audit|archive|line|detail|order|invoice|journal|grv|count|address"
)
"""Parts of the names of tables that record transactions or history instead of the present state."""

DRIVER_DIALECTS = (
    (r"sql server|msodbcsql|tdsodbc|freetds", "tsql"),
    (r"postgres|psqlodbc", "postgres"),
    (r"mariadb|maodbc|mysql|myodbc", "mysql"),
    (r"sqlite", "sqlite"),
    (r"hdbodbc", "hana"),
    (r"oracle|sqora", "oracle"),
    (r"firebird|interbase", "firebird"),
    (r"pervasive|actian|\bzen\b|btrieve", "pervasive"),
    (r"access|mdbtools|\.mdb|\.accdb", "access"),
)
