"""The words by which tables and columns of ERPs and shops are recognized.

They are in English, Afrikaans, Dutch, German, French, Spanish and Portuguese. Patterns are matched against names in
lower case, without accents and reduced to letters and digits. A weight says how clearly a match tells what a column is,
from 1 (a guess) to 5.
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

ITEM_WORDS = (
    r"(stock|stk|items?|itm|products?|prod|inventory|inv|parts?|sku|articles?|artikels?|artikelen|artigos?|articulos?|art"
    r"|materials?|material|produk|produkte?|producten|productos?|produtos?|produits?|mercadorias?|marchandises?|voorraad"
    r"|goods|variants?|simple|waren?)"
)
"""What an item is called."""

COLUMN_PATTERNS: Mapping[str, Mapping[str, WeightedPatterns]] = {
    "products": {
        "code": (
            (rf"^{ITEM_WORDS}(code|kode|no|num|number|key|nr|nummer|numero|ref|reference|referencia)$", 5),
            (r"^(code|sku|kode|cod|codigo|referencia|reference|ref|defaultcode|refarticle)$", 4),
            (rf"^{ITEM_WORDS}?(master)?(code|sku)$", 4),
            (rf"^(code|cod|kode|codigo|ref|reference|referencia|no|numero)(do|del|de|da)?{ITEM_WORDS}$", 4),
            (r"^(model|modelno|partnumber|mpn)$", 3),
            (rf"^(id|pk)?{ITEM_WORDS}?id$|^id{ITEM_WORDS}$", 1),
        ),
        "title": (
            (rf"^{ITEM_WORDS}?(description|desc|descr|descript|name|title)(1|line1)?$", 5),
            (
                rf"^{ITEM_WORDS}?(beskrywing|naam|omschrijving|bezeichnung\d?|benennung|designation|libelle|intitule)$",
                5,
            ),
            (rf"^{ITEM_WORDS}?(descripcion|denominacion|nombre|nome|descricao|designacao|label|kurztext)(1)?$", 5),
            (rf"^(descripcion|descricao|nombre|nome|designation|nom)(do|del|de|da)?{ITEM_WORDS}$", 5),
            (r"^(long|full|web)(description|desc|name|title)$", 2),
            (r"^posttitle$", 4),
        ),
        "csv_price_tiers": (
            (
                r"^(sell|selling|sales|retail|regular|list|lst|excl|incl|unit|base)?(price|prices|prys)(1|01|a|incl|excl)?$",
                5,
            ),
            (
                r"^(standard)?(verkoop|vk|verkaufs|listen|netto|brutto|einzel)?(preis|prijs)(1|excl|incl)?$",
                5,
            ),
            (r"^(prix|precio|preco)(de)?(vente|venta|venda|unitaire|unitario|publico|lista|base)?(ht|ttc|1)?$", 5),
            (r"^(verkoopprys|verkoopsprys|pvp\d?|pricelistrate|listprice|pv|vkpreis\d?|vk\d?)$", 5),
            (r"^f?(incl|excl)price(1|01)?$", 4),
            (r"^(sell|selling)(price)?(inc|incl|ex|excl)?(1|01)?$", 4),
            (r"^(minprice|fixedprice)$", 2),
            (r"^amount$", 1),
        ),
        "variants.qty": (
            (r"^(wh|o)?(qty|quantity|stock|inv)?(available|avail|onhand|inhand)(qty|quantity)?$", 5),
            (r"^(qty|quantity|soh|stockonhand|stocklevel|stockqty|stockquantity|unitsinstock|actualqty|voorraad)$", 4),
            (r"^(hoeveelheid|aantal|voorradig|bestand|lagerbestand|bestandsmenge|menge|verfugbar|verfuegbar)$", 4),
            (r"^(quantite|qte|qtestock|qtedispo|stockreel|reel|existencias?|cantidad|disponible)$", 4),
            (r"^(estoque|quantidade|qtd|qtde|qtdestoque|saldo|saldoestoque|stockactual|stockatual)$", 4),
            (r"^(stock|lager)$", 4),
        ),
        "variants.barcode": (
            (r"barcode|codebars|^ean|gtin|^upc|strepies?kode|streepjescode|codebarres?|codigode?barras|codbarras", 5),
        ),
        "product_active": (
            (r"stock2shop|s2s|^(item|stock)?web(item|status|active|enabled|flag|shop|yn)?$", 4),
            (r"^(item|product)?(active|inactive|blocked|discontinued|frozen.*|isactive|enabled|disabled|tosell)$", 2),
            (r"^(aktief|actief|aktiv|actif|activo|ativo|gesperrt|geblokkeerd|bloqueado|inativo|published|status)$", 2),
        ),
        "vendor": (
            (r"^(brand|c?brand(name)?|vendor|supplier|manufacturer|make|merk|marke|marque|marca|fabrikant)(name)?$", 4),
            (
                r"^(hersteller|fabricante|fabricant|vervaardiger|leverancier|verskaffer|lieferant|proveedor|fornecedor)$",
                3,
            ),
        ),
        "product_type": (
            (r"^(category|(item|stock|product)(group|category|type)|department|class)(name)?$", 3),
            (
                r"^(kategorie|kategori|categorie|categoria|warengruppe|artikelgroep|artikelgruppe|famille|familia|rubro)$",
                3,
            ),
        ),
        "variants.option1_value": ((r"^(size|grootte|maat|grosse|groesse|taille|talla|tamanho)$", 3),),
        "variants.option2_value": ((r"^(colou?r|kleur|farbe|couleur|cor)$", 3),),
        "variants.grams": ((r"^(weight|unitweight|grams|mass)(kg|g)?$", 2),),
    },
    "customers": {
        "code": (
            (r"^(customer|client|debtor|cust|card|account|acc)(code|no|num|number)$", 5),
            (r"^(klant|kunden?|kliente?|debiteur|debitor|cliente?)(code|kode|nr|no|nummer|nommer|numero)$", 5),
            (r"^(code|cod|codigo|ref)(de|del|do)?(client|cliente|klant)$|^codeclient$", 5),
            (r"^(account|customer|accno|code|custno|idcust|ref|reference)$", 4),
            (
                r"^(customer|client|kunden?|klant|cliente)?id$|^id(customer|client|cliente|klant)$|^(incrementid|rowid)$",
                1,
            ),
        ),
        "email": ((r"e?mail(address|adres|adresse)?1?$|^(epos|correo|courriel|correoelectronico)$", 5),),
        "first_name": (
            (
                r"^(contact|firstname|contactperson|contactname|forename|voornaam|vorname|prenom|nomeproprio|givenname)$",
                4,
            ),
            (r"^(card|customer|client|debtor|cust|klant|kunden?)?(name|naam|nom|nombre|nome|displayname)(cust)?$", 2),
            (r"^(razonsocial|razaosocial|raisonsociale|companyname|firma|bedrijf)$", 1),
        ),
        "last_name": ((r"^(surname|lastname|achternaam|nachname|familienaam|apellidos?|sobrenome|van)$", 4),),
        "customer_active": (
            (r"stock2shop|s2s|web(status|active|enabled|flag)?$", 4),
            (r"^(customer|client)?(active|inactive|blocked|onhold|status|frozen.*|isactive|disabled)$", 2),
            (r"^(aktief|actief|aktiv|actif|activo|ativo|gesperrt|geblokkeerd|bloqueado)$", 2),
        ),
        "address1.phone": (
            (r"^(tele?)?phone(no|number)?1?$|^mobile$|^tele?foo?n[eo]?$|^telefoonnr$|^tel(efonnummer)?$", 4),
        ),
    },
}
"""By entity and field: patterns for names of columns, with weights."""

PEOPLE_WORDS = (
    r"(customers?|clients?|debtors?|cust|cards?|members?|ocrd|klante?n?|kunden?|clientes?|debiteur(en)?|debitor(en)?|kliente?"
    r"|partners?|societe|socpeople|tiers|buyers?)"
)
"""What a customer is called."""

REFERENCE_PREFIXES = {
    "products": ITEM_WORDS,
    "customers": r"(customer|client|debtor|cust|card|acc|account|klant|kunde)",
}
"""By entity: a pattern for the beginning of columns that refer to it."""

RELATED_FIELDS: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "products": (
        ("title", r"desc|lang|text|name|translation|trad", "max", "which language?"),
        ("csv_price_tiers", r"pric|list|itm1|mult|prijs|prys|preis|prix|preci|preco|tarif", "max", "which price list?"),
        (
            "variants.qty",
            r"wh|ware|stock|stk|loc|inv|store|bin|oitw|mult|lager|magazi|voorraad|estoque|almac|deposito|entrepot|quant",
            "sum",
            "of all warehouses?",
        ),
    ),
    "customers": (("email", r"address|contact|mail|cust|client|debtor", "max", "which of several?"),),
}
"""By entity: fields that are often in another table. Each has a pattern for the names of such tables, the aggregate
that makes one value of several rows, and the question to ask."""

TABLE_PATTERNS: Mapping[str, tuple[str, str]] = {
    "products": (ITEM_WORDS, r"customer|client|debtor|supplier|vendor|employee|kunde|klant|fournisseur|proveedor"),
    "customers": (
        PEOPLE_WORDS,
        r"supplier|vendor|creditor|employee|contactlog|user|staff|lieferant|leverancier|fournisseur|proveedor",
    ),
}
"""By entity: a pattern for likely names of its table, and one for names that it never has."""

MAIN_SUFFIXES = (
    r"(master|entity|file|mst|mast|base|table|tbl|records?|cards?|data|stamm|stammdaten|stam|maestro|cadastro)?"
)
"""What a table's name may have behind the word for an item, and be its main table all the same."""

PART_WORDS = re.compile(
    r"(categor\w*|group\w*|types?|classe?s?|attributes?|attr|tags?|images?|media|links?|lang|langs|description|prices?"
    r"|pricing|lists?|bins?|warehouses?|tax|taxes|units?|uom|vendors?|suppliers?|options?|values?|related|relations?|files?"
    r"|documents?|reviews?|ratings?|features?|specials?|discounts?|rewards?|stores?|layout|filters?|downloads?|profiles?"
    r"|website|websites|bundle|models?|photos?|cost|costs|quant|quants|levels?|location|locations|alias|aliases|notes?)"
)
"""Parts of names of tables that say something about an item, or about a customer, and are not it."""

TRANSACTION_WORDS = re.compile(
    r"(hist|history|trans|transactions?|trn|logs?|logging|tmp|temp|bak|backup|old|audit|archive|lines?|details?|orders?|invoices?"
    r"|journals?|grv|counts?|address|addresses|moves?|movements?|ledger|quotes?|quotations?|carts?|baskets?|wishlists?|compare"
    r"|compared|subscriptions?|newsletters?|index|idx|queues?|sessions?|alerts?|viewed|searches|search|imports?|exports?"
    r"|returns?|shipments?|creditmemos?|deliver(y|ies)|receipts?|sales?|purchases?|bills?|picking|visitors?|stats?|reports?"
    r"|factur\w*|faktuur|fatur\w*|factuur|commandes?|commandedet|facturedet|propal\w*|devis|panier|bestelling\w*|bestellung\w*"
    r"|auftrag\w*|rechnung\w*|angebot\w*|offertes?|kwotasies?|pedidos?|encomendas?|orcamentos?|presupuestos?|carritos?"
    r"|carrinhos?|warenkorb|ventas?|vendas?|historique|historial|historico|geskiedenis)"
)
"""Words in the names of tables that record what happened or was looked at: logs, orders, quotes, carts."""

TRANSACTION_PARTS = re.compile(
    r"hist(ory)?$|trn$|trans$|^(log|tmp|temp|bak)|(log|tmp|temp|bak|old)$|histor|invoice|audit|archiv|backup|orderl|journal"
    r"|orderdet|quotation|orderdt|shopping|subscri|lines?$|details?$|address"
)
"""The same in names that cannot be told into words, reduced to letters and digits."""

SOLD_QUANTITIES = re.compile(
    r"^(qty|quantity|qtyordered|orderqty|qtysold|quantityordered|productquantity|productqty|productuomqty|qte|quantite|cantidad"
    r"|quantidade|aantal|menge|hoeveelheid|stockqty)$"
)
"""Columns of order lines that say how many were ordered or sold."""

KIND_COLUMNS = re.compile(r"^(post|entity|record|object)type$")
"""Columns that say of each row of a general table what it is, such as WordPress' ``post_type``."""

LANGUAGE_COLUMNS = re.compile(
    r"^(id)?(lang(uage)?|lingua|langue|idioma|sprache|taal)(id|code)?$|^fklang$|^idlang$|^locale$"
)
"""Columns of a table with texts in several languages."""

PRICE_LIST_COLUMNS = re.compile(
    r"^(i)?(price|pl)?(list|level|group|tier|type|code)(no|nr|num|id|name|nameid)?$|^pricelist\w*$|^idgroup$|^pricingcategory$"
)
"""Columns that say which price list a price is of."""

WAREHOUSE_COLUMNS = re.compile(
    r"^(id|fk|i)?(warehouse|whse|wh|whs|location|loc|store|bin|depot|entrepot|magazyn|almacen|deposito|lager|magasin)"
    r"(code|no|id|key|name)?$"
)
"""Columns that say which warehouse a quantity is of."""

EMPTY_WORDS = frozenset({"", "0", "0.0", "0.00", "0.000", "0.0000", "0.000000", "false"})
"""The highest value of a column in which nothing stands."""

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
