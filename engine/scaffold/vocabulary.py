"""vocabulary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = re.compile(
    r"information_schema|pg_.*|sys|system|mysql|performance_schema|_sys_.*|ctxsys|mdsys|xdb", re.IGNORECASE
)
"""Schemas that are the database's own."""

OWN_TABLES = re.compile(r"sqlite_.*|msys.*|rdb\$.*|mon\$.*", re.IGNORECASE)
"""Tables that are the database's own, where it has no schemas."""

RESERVED = frozenset(
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
"""Names that are quoted because one database or another takes them for something else."""

FOLDED = {"postgres": str.lower, "redshift": str.lower, "oracle": str.upper, "hana": str.upper, "firebird": str.upper}
"""How a name without quotes is read; elsewhere it is found however it is written."""

DEFAULT = frozenset({"", "public", "main", "dbo"})
"""Schemas in which a table is found by its name alone."""

Words = tuple[tuple[str, int], ...]

ELSEWHERE: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "products": (
        ("csv_price_tiers", r"pric|list|itm1|mult", "max", "which price list?"),
        ("variants.qty", r"wh|ware|stock|stk|loc|inv|store|bin|oitw|mult", "sum", "of all warehouses?"),
    ),
    "customers": (("email", r"address|contact|mail|cust|client|debtor", "max", "which of several?"),),
}
"""Fields that often stand in a table of their own: what that is called, how its rows become one, and the doubt."""

ITEM = r"(stock|stk|item|itm|product|prod|inv|inventory|part|sku|article|artikel|material|simple)"

COLUMNS: Mapping[str, Mapping[str, Words]] = {
    "products": {
        "code": (
            (rf"^{ITEM}(code|no|num|number|key)$", 5),
            (r"^(code|sku|kode)$", 4),
            (rf"^{ITEM}?(master)?(code|sku)$", 4),
            (rf"^{ITEM}?id$", 1),
        ),
        "title": (
            (rf"^{ITEM}?(description|desc|descr|descript|name|title)(1|line1)?$", 5),
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
            (r"^(wh)?(qty|quantity|stock|inv)?(available|avail|onhand|inhand)(qty)?$", 5),
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
"""By entity: what the column of a field is called, in letters and digits only, and how plainly that says it."""

WHOSE = {"products": ITEM, "customers": r"(customer|client|debtor|cust|card|acc|account)"}
"""By entity: what a column that refers to one of them begins with."""

TABLES: Mapping[str, tuple[str, str]] = {
    "products": (ITEM + r"|goods", r"customer|client|debtor|supplier|vendor|employee"),
    "customers": (r"customer|client|debtor|cust|card|member|ocrd", r"supplier|vendor|creditor|employee|contactlog"),
}
"""By entity: what its table is called, and what it surely is not."""

PASSING = re.compile(
    r"hist|trans|trn|log|tmp|temp|bak|backup|old|audit|archive|line|detail|order|invoice|journal|grv|count|address"
)
"""Parts of the names of tables that keep what happened, not what there is."""

DRIVERS = (
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
