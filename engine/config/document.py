"""The pydantic model of ``project.toml``: its tables, keys, types, defaults and what each means.

The descriptions are the text of the reference page and of the hints in editors and errors.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from engine.config.schedule import (
    DIGEST,
    DURATION,
    QUIET,
    check_all_quiet,
    check_cron,
    check_digest,
    check_duration,
    check_quiet,
)
from engine.config.values import (
    DIALECTS,
    FLAGS,
    ODBC_KEYS,
    PATH_PATTERN,
    STOCK2SHOP_URL,
    URL_PATTERN,
    active_words,
    check_dialect,
    check_encoding,
    check_optional_dialect,
    check_optional_timezone,
    check_path,
    check_timezone,
    check_url,
    check_words,
    limit,
    reject_boolean,
)
from engine.model.settings import CLOSED_BOOKS, DEFAULT_MAX_CHANGES, DEFAULT_MAX_DELETES

if TYPE_CHECKING:
    from collections.abc import Sequence


@cache
def entity_tables() -> dict[str, Any]:
    """The pydantic models of the tables ``[products]`` and ``[customers]``, by the entity's name."""
    from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

    share: Any = {"type": "string", "pattern": r"^\s*(\d+|(100(\.0+)?|\d{1,2}(\.\d+)?)\s*%)\s*$"}
    table: Any = {
        "type": "object",
        "properties": {"share": share, "floor": {"type": "integer", "minimum": 0}},
        "required": ["share"],
        "additionalProperties": False,
    }
    spelling = WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, share, table]})
    words: Any = {"type": "array", "items": {"type": "string"}}
    vocabulary = WithJsonSchema(
        {"type": "object", "properties": dict.fromkeys(FLAGS, words), "additionalProperties": False}
    )

    below: Any = {"pattern": PATH_PATTERN}

    number = BeforeValidator(reject_boolean)

    class FreshTable(BaseModel):
        """How old the newest value of a column may be."""

        model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
        column: str = Field(min_length=1, description="A column of the view that holds a time.")
        hours: Annotated[float, number] = Field(gt=0, description="Hours. A time in the future does not count.")
        timezone: Annotated[str, AfterValidator(check_timezone)] = Field(
            "UTC", description='The zone of times that name none, such as "Africa/Johannesburg".'
        )

    class ExpectTable(BaseModel):
        """What must hold for the entity's valid, Active rows."""

        model_config = ConfigDict(extra="forbid")
        min_rows: Annotated[int | None, number] = Field(None, ge=0, description="At least so many live rows.")
        not_null: list[str] = Field(default_factory=list, description="Columns that are never blank.")
        accepted_values: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(
            default_factory=dict, description="The values that a column may have; blank is left to not_null."
        )
        fresh: FreshTable | None = Field(
            None, description="{ column, hours, timezone }: how old the newest may be, on live rows only."
        )
        severity: Literal["error", "warning"] = Field("error", description="error stops the entity, warning is a note.")

    class EntityTable(BaseModel):
        """What all entities have in common."""

        model_config = ConfigDict(extra="forbid")
        view: str | None = Field(
            None,
            description="The view's file, from the project's folder; otherwise the entity's in views/.",
        )
        missing: Literal["delete", "keep"] = Field(
            "delete",
            description="What to do with keys that are no longer in the view. A linked source keeps them by default.",
        )
        max_deletes: Annotated[Any, BeforeValidator(partial(limit, default=DEFAULT_MAX_DELETES)), spelling] = Field(
            None,
            description='The most removals a run: 250, or "10%" of what is published but at least 10, or'
            ' { share = "10%", floor = 20 }. "0%" is none. Without it "10%". Of a small list without a floor of its own'
            " at most half.",
        )
        max_deletes_per_day: Annotated[Any, BeforeValidator(partial(limit, default=DEFAULT_MAX_DELETES)), spelling] = (
            Field(
                None,
                description="The most removals within 24 hours, in the same ways as max_deletes, of what is published"
                " and what was removed meanwhile. Without it the limit of a run.",
            )
        )
        max_changes: Annotated[Any, BeforeValidator(partial(limit, default=DEFAULT_MAX_CHANGES)), spelling] = Field(
            None,
            description='The most inserts and updates a run: 250, or "50%" of what is published but at least 100, or'
            ' { share = "50%", floor = 200 }. Without it "50%". A first load is not limited.',
        )
        min_rows: Annotated[int, BeforeValidator(reject_boolean)] = Field(
            1, ge=0, description="Fewer rows from the view than this stop the run."
        )
        active: Annotated[dict[str, list[str]], AfterValidator(active_words), vocabulary] = Field(
            default_factory=dict, description="The flag's words: { Active = [...], Delete = [...], Ignore = [...] }."
        )
        expect: ExpectTable | None = Field(
            None,
            description="What must hold of the rows: { min_rows, not_null, accepted_values, fresh, severity }.",
        )

    class ProductsTable(EntityTable):
        """Products: their view, their flag's vocabulary and their guards."""

        linked: bool = Field(default=False, description="The source only enriches products that another one owns.")
        option_names: list[str] = Field(
            default_factory=list, max_length=3, description="Names of options that the view does not name."
        )
        default_price_tier: str | None = Field(None, description="The tier that gives the default price.")
        blank_price: Annotated[float | None, number] = Field(
            None,
            ge=0,
            description="The default price that is sent for a row without one, such as 0. Without it none is sent, and"
            " a price that turns blank is held.",
        )
        blank_tier_price: Annotated[float | None, number] = Field(
            None,
            ge=0,
            description="The price that is sent for a blank price_NAME, such as 0: some channels want every price list"
            " of every item. Without it the tier is left out.",
        )

    class CustomersTable(EntityTable):
        """Customers: their view, their flag's vocabulary and their guards."""

        path: Annotated[str, AfterValidator(check_path)] = Field(
            "/customers/queue",
            description="Where Stock2Shop queues customers. It is not public: confirm it with Stock2Shop.",
            json_schema_extra=below,
        )
        search_path: Annotated[str | None, AfterValidator(check_path)] = Field(
            None,
            description="Where Stock2Shop reads customers back, for adopt and verify. None is public.",
            json_schema_extra=below,
        )

    return {"products": ProductsTable, "customers": CustomersTable}


@cache
def document_model() -> Any:
    """The pydantic model of a whole ``project.toml``, made at the first call: importing pydantic is slow."""
    from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

    strict = ConfigDict(extra="forbid", allow_inf_nan=False)
    # What engine.config.consistency checks, for editors.
    either: Any = {"oneOf": [{"required": ["connection"]}, {"required": ["database"]}]}
    only_odbc: Any = [
        {
            "if": {"required": ["database"], "properties": {"dialect": {"const": dialect}}},
            "then": {"properties": dict.fromkeys(keys, False)},
        }
        for dialect, keys in ODBC_KEYS.items()
    ]
    file: Any = {
        "dependentSchemas": {"database": {"properties": {"dialect": {"enum": ["duckdb", "sqlite"]}}}},
        "allOf": only_odbc,
    }
    tls: Any = {"dependentRequired": {"tls_certificate": ["tls_key"], "tls_key": ["tls_certificate"]}}
    by_number: Any = {"propertyNames": {"pattern": r"^\d+$"}}
    number = BeforeValidator(reject_boolean)

    class ProjectTable(BaseModel):
        """What the project is."""

        model_config = strict
        description: str = Field("", description="Who the client is, for people.")

    class SourceTable(BaseModel):
        """How to reach the client's database."""

        model_config = ConfigDict(**strict, json_schema_extra={**either, **file})
        dialect: Annotated[str, AfterValidator(check_dialect)] = Field(
            description='How the views are written, such as "tsql" or "mysql".',
            json_schema_extra={"enum": list(DIALECTS)},
        )
        connection: str | None = Field(
            None, min_length=1, description="The ODBC connection string of a read-only login."
        )
        database: str | None = Field(
            None, min_length=1, description="A DuckDB or SQLite file, from the project's folder."
        )
        encoding: Annotated[str | None, AfterValidator(check_encoding)] = Field(
            None, description="How texts are sent to the driver."
        )
        decoding: Annotated[str | None, AfterValidator(check_encoding)] = Field(
            None, description="How the driver's narrow texts are read."
        )
        wide_decoding: Annotated[str | None, AfterValidator(check_encoding)] = Field(
            None, description="How the driver's wide texts are read."
        )
        attributes: dict[int, Annotated[int, number]] = Field(
            default_factory=dict, description="ODBC connection attributes by number.", json_schema_extra=by_number
        )
        session: list[str] = Field(default_factory=list, description="Statements to run once after connecting.")
        reader: Literal["pyodbc", "mssql-python"] = Field(
            "pyodbc", description="What reads the views: mssql-python reads SQL Server in columns, for less CPU time."
        )
        connect_timeout: Annotated[int, number] = Field(15, ge=1, description="Seconds.")
        query_timeout: Annotated[int, number] = Field(
            600, ge=1, description="Seconds to wait for the first rows, and for the next ones each time."
        )
        batch_rows: Annotated[int, number] = Field(2_000, ge=1, le=100_000, description="Rows fetched at a time.")

    class Stock2ShopTable(BaseModel):
        """How to reach Stock2Shop."""

        model_config = strict
        source_id: Annotated[int, number] = Field(ge=1, description="The source's number in the Stock2Shop console.")
        username: str = Field(min_length=1, description='Write "${S2S_USER}" and set it in .env.')
        password: str = Field(min_length=1, description='Write "${S2S_PASSWORD}" and set it in .env.')
        url: Annotated[str, AfterValidator(check_url)] = Field(
            STOCK2SHOP_URL, description="Stock2Shop's address.", json_schema_extra={"pattern": URL_PATTERN}
        )
        pace: Annotated[float, number] = Field(1.0, ge=0, description="Requests a second; 0 for no limit.")
        batch_variants: Annotated[int, number] = Field(500, ge=1, le=500, description="Variants a request.")
        connect_timeout: Annotated[float, number] = Field(10.0, gt=0, description="Seconds.")
        read_timeout: Annotated[float, number] = Field(120.0, gt=0, description="Seconds.")
        retries: Annotated[int, number] = Field(6, ge=0, description="How often a failing request is tried again.")
        deadline: Annotated[float | None, number] = Field(
            None,
            gt=0,
            description="Seconds after which a run ends, reading the view included. 0 of --deadline overrides it.",
        )

    class HistoryTable(BaseModel):
        """What is remembered."""

        model_config = strict
        keep_days: Annotated[int, number] = Field(
            90, ge=1, description="History and resolved quarantine older than this are dropped."
        )

    class ScheduleTable(BaseModel):
        """When the project runs, for `s2s agent` and `s2s status`; `workspace.toml` may say it for all projects."""

        model_config = strict
        every: Annotated[str | None, AfterValidator(check_duration)] = Field(
            None,
            description='How often a run is to begin, such as "3m": a whole number of s, m, h or d.',
            json_schema_extra={"pattern": DURATION},
        )
        cron: Annotated[str | None, AfterValidator(check_cron)] = Field(
            None,
            description='When runs begin instead: the five fields of cron, such as "15 6 * * MON-FRI"; needs timezone.',
        )
        quiet: Annotated[tuple[str, ...], AfterValidator(check_all_quiet)] = Field(
            (), description='Hours in which the agent begins no run, such as ["22:00-06:00"]; needs timezone.'
        )
        timezone: Annotated[str | None, AfterValidator(check_optional_timezone)] = Field(
            None, description="The zone of cron and quiet, such as Africa/Johannesburg."
        )

    class NotifyTable(BaseModel):
        """Who is notified of changes for the worse or the better; `workspace.toml` may say it for all projects."""

        model_config = strict
        urls: tuple[str, ...] | None = Field(
            None, description='Addresses as apprise has them, such as ["${NOTIFY_URL}"]; needs the extra `notify`.'
        )
        ping: str | None = Field(
            None, description="An address that is asked for after runs, with /fail behind it where a project fails."
        )
        failures: Annotated[int, number] = Field(3, ge=1, description="So many runs that fail in a row are news.")
        held: Annotated[int, number] = Field(50, ge=0, description="More rows in quarantine or refused are news.")
        late: Annotated[str | None, AfterValidator(check_duration)] = Field(
            None,
            description="Not to run for so long is news, where the agent runs; otherwise two cadences.",
            json_schema_extra={"pattern": DURATION},
        )
        quiet: Annotated[str | None, AfterValidator(check_quiet)] = Field(
            None,
            description='When nothing is sent, in the machine\'s own zone, such as "20:00-06:30".',
            json_schema_extra={"pattern": QUIET},
        )
        digest: Annotated[str | None, AfterValidator(check_digest)] = Field(
            None,
            description='When one message a day says how all is, such as "07:00 Africa/Johannesburg".',
            json_schema_extra={"pattern": DIGEST},
        )

    severities: Any = dict[str, Literal["error", "warning"]]

    class ChannelTable(BaseModel):
        """What differs for the orders of one channel."""

        model_config = strict
        warehouse: str | None = Field(None, description="The warehouse's code.")
        sales_rep: str | None = Field(None, description="The sales representative's code.")
        document_type: str | None = Field(None, description="Such as order, invoice or quotation.")
        customer: str | None = Field(None, description="The customer of orders that have none.")

    class ServeTable(BaseModel):
        """How `s2s orders serve` listens."""

        model_config = ConfigDict(**strict, json_schema_extra=tls)
        host: str = Field("127.0.0.1", description="The address; anything but this machine's own needs a token.")
        port: Annotated[int, number] = Field(8058, ge=0, le=65535, description="The port.")
        token: str | None = Field(None, min_length=16, description='The bearer token. Write "${ORDERS_TOKEN}".')
        username: str | None = Field(None, min_length=1, description="For basic authentication instead.")
        password: str | None = Field(None, min_length=8, description="For basic authentication instead.")
        tls_certificate: str | None = Field(None, description="A PEM file, from the project's folder.")
        tls_key: str | None = Field(None, description="A PEM file, from the project's folder.")
        max_body: Annotated[int, number] = Field(2_000_000, ge=1_000, description="The largest order in bytes.")

    class PullTable(BaseModel):
        """Where `s2s orders pull` asks for orders and answers them. Not public: confirm it with Stock2Shop."""

        model_config = strict
        instructions: str = Field("add_order", description="The instruction that marks an order in the queue.")
        status: str | None = Field(None, description="Only items with this status.")
        limit: Annotated[int, number] = Field(100, ge=1, le=1000, description="Orders asked for at a time.")
        offset: str = Field(
            "offset", description='The parameter that says how many orders to leave out; "" asks for one page only.'
        )
        document: tuple[str, ...] = Field(
            ("data", "system_order"), description="The keys of a queue item of which the first has the order."
        )
        answer_path: Annotated[str, AfterValidator(check_path)] = Field(
            "/orders/sources",
            description="Where the source's order code goes.",
            json_schema_extra={"pattern": PATH_PATTERN},
        )

    class OrdersTable(BaseModel):
        """How orders are raised."""

        model_config = ConfigDict(**strict, json_schema_extra=either)
        connection: str | None = Field(
            None, min_length=1, description="The ODBC connection string of a read-write login."
        )
        database: str | None = Field(
            None, min_length=1, description="A DuckDB or SQLite file, from the project's folder."
        )
        dialect: Annotated[str | None, AfterValidator(check_optional_dialect)] = Field(
            None, description="Where it is not the source's.", json_schema_extra={"enum": list(DIALECTS)}
        )
        session: list[str] = Field(default_factory=list, description="Statements to run once after connecting.")
        default_customer: str | None = Field(None, description="The customer of orders that have none.")
        create_customer: bool = Field(default=False, description="Run orders/customer.sql for one that is not there.")
        shipping_item: str | None = Field(
            None, description="The item code of shipping lines; without it they are left out."
        )
        warehouse: str | None = Field(None, description="The warehouse's code.")
        sales_rep: str | None = Field(None, description="The sales representative's code.")
        document_type: str | None = Field(None, description="Such as order, invoice or quotation.")
        channels: dict[int, ChannelTable] = Field(
            default_factory=dict, description="What differs by channel id.", json_schema_extra=by_number
        )
        known_channels_only: bool = Field(default=False, description="Let orders of other channels wait.")
        tax_codes: dict[str, str] = Field(
            default_factory=dict,
            description='The codes of the database: { taxed = "1", exempt = "0" }, or by tax code.',
        )
        prices: Literal["excluding", "including"] = Field("excluding", description="What `line.price` is.")
        stock: Literal["allow", "refuse", "backorder"] = Field(
            "allow", description="When orders/stock.sql shows too little: raise, let wait, or mark the line."
        )
        repeated_skus: Literal["allow", "merge", "refuse"] = Field(
            "allow", description="When a SKU appears on two lines: raise both, add them up, or let the order wait."
        )
        foreign_lines: Literal["refuse", "skip"] = Field(
            "refuse", description="When a line belongs to another source: let the order wait, or leave the line out."
        )
        transient_errors: tuple[Annotated[str, AfterValidator(check_words)], ...] = Field(
            CLOSED_BOOKS,
            description="Parts of error messages, in any case, after which an order is retried: the database's, a"
            " trigger's or a procedure's.",
        )
        timezone: Annotated[str, AfterValidator(check_timezone)] = Field(
            "UTC", description="The zone of the dates that are raised."
        )
        tolerance: Annotated[float, number] = Field(0.05, ge=0, description="By how much totals may differ.")
        commit_grace: Annotated[int, number] = Field(
            60,
            ge=0,
            description="Seconds before an order whose commit was not confirmed is looked up: it may be on its way.",
        )
        keep_days: Annotated[int, number] = Field(
            30, ge=1, description="Documents of finished orders are dropped then."
        )
        serve: ServeTable = Field(default_factory=lambda: ServeTable.model_validate({}))
        pull: PullTable = Field(default_factory=lambda: PullTable.model_validate({}))

    entities: Any = {name: (table | None, None) for name, table in entity_tables().items()}
    return create_model(
        "Document",
        __config__=strict,
        project=(ProjectTable, Field(default_factory=lambda: ProjectTable.model_validate({}))),
        source=(SourceTable, Field(description="The table [source] says how to reach the client's database.")),
        stock2shop=(Stock2ShopTable, Field(description="The table [stock2shop] says how to reach Stock2Shop.")),
        vars=(dict[str, Any], Field(default_factory=dict, description="Values for the views.")),
        orders=(OrdersTable | None, None),
        history=(HistoryTable, Field(default_factory=lambda: HistoryTable.model_validate({}))),
        schedule=(ScheduleTable, Field(default_factory=lambda: ScheduleTable.model_validate({}))),
        notify=(NotifyTable, Field(default_factory=lambda: NotifyTable.model_validate({}))),
        tests=(
            severities,
            Field(default_factory=dict, description='How grave a failed data test is: no_free_items = "warning".'),
        ),
        **entities,
    )


def find_setting(at: Sequence[str]) -> Any:
    """The field of the model for the key at a place, such as ``("stock2shop", "pace")``; None where there is none.

    What stands below a key that takes any keys, such as ``[vars]``, has the field of that key.
    """
    table, field = document_model(), None
    for name in at:
        field = table.model_fields.get(name)
        if field is None:
            return None
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())]
        table = next((kind for kind in kinds if hasattr(kind, "model_fields")), None)
        if table is None or getattr(field.annotation, "__origin__", None) is dict:
            break
    return field
