"""What differs between ODBC drivers, as data: options, encodings, session statements, and what each gets wrong.

Where a driver's page under ``docs/drivers`` says that it was run, its faults were measured; where it was not run, they
are from its maker's documentation.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.database.connection_string import unquote
from engine.database.driver_profile import DriverProfile
from engine.database.odbc_values import (
    DATETIMEOFFSET,
    SQL_FLOAT,
    SQL_LONGVARBINARY,
    SQL_TYPE_TIMESTAMP,
    SQL_VARBINARY,
    decode_if_text,
    read_datetimeoffset,
    read_float32,
    read_timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_SQLITE_TEXT = (
    "case when typeof({0}) <> 'real' then cast({0} as text) else (select case"
    " when f like '%.0' then substr(f, 1, length(f) - 2) when e is null then f"
    " when e < 0 then s || '0.' || substr(z, 1, -e - 1) || rtrim(d, '0')"
    " else s || d || substr(z, 1, e + 1 - length(d)) end from (select f, e, z,"
    " case when f like '-%' then '-' else '' end as s,"
    " replace(ltrim(substr(f, 1, instr(f, 'e') - 1), '-'), '.', '') as d from (select f,"
    " case when instr(f, 'e') then cast(substr(f, instr(f, 'e') + 1) as integer) end as e, printf('%0400d', 0) as z"
    " from (select case when cast(printf('%!.15g', {0}) as real) = {0} then printf('%!.15g', {0})"
    " else printf('%!.17g', {0}) end as f)))) end"
)
"""A SQLite value's text; a float with the digits that it needs, where a plain cast stops at 15 and writes exponents.

``f`` is the float as printf writes it, ``s`` its sign, ``d`` its digits, ``e`` its exponent, ``z`` zeros to fill up.
"""


_POSTGRESQL_WRITE_RIGHTS = (
    "select case when exists (select 1 from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n"
    " on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'f') and n.nspname not in ('pg_catalog',"
    " 'information_schema') and has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) then 1 else 0 end"
)


_MYSQL_WRITE_RIGHTS = (
    "select case when exists (select 1 from (select privilege_type from information_schema.user_privileges"
    " union all select privilege_type from information_schema.schema_privileges"
    " union all select privilege_type from information_schema.table_privileges) as p"
    " where privilege_type in ('INSERT', 'UPDATE', 'DELETE', 'DROP', 'ALTER', 'CREATE', 'FILE', 'SUPER',"
    " 'DELETE HISTORY', 'TRIGGER', 'EVENT', 'CREATE USER')) then 1 else 0 end"
)


_SQLSERVER_COLUMNS = (
    "select table_schema, table_name, column_name, data_type from information_schema.columns"
    " order by table_schema, table_name, ordinal_position"
)

_SQLSERVER_WRITE_RIGHTS = (
    "select case when exists (select 1 from (values ('INSERT'), ('UPDATE'), ('DELETE')) as p (name)"
    " where has_perms_by_name(db_name(), 'DATABASE', p.name) = 1 or exists (select 1 from sys.tables as t"
    " where has_perms_by_name(quotename(schema_name(t.schema_id)) + '.' + quotename(t.name), 'OBJECT', p.name) = 1))"
    " then 1 else 0 end"
)
"""SQL Server has no read-only session: what the login may do is what there is to know."""


_TEXT_IN_BYTES = {SQL_VARBINARY: decode_if_text, SQL_LONGVARBINARY: decode_if_text}
"""Types of bytes that may hold text; what SQL_BINARY is may be bits as well."""


_WHOLE_GROUP_CONCAT = "set session group_concat_max_len = 4294967295"
"""GROUP_CONCAT cuts its result at 1,024 bytes (MySQL) or 1 MB (MariaDB) unless the session says otherwise."""


_READ_ONLY_SESSION = "set session transaction read only"


_SEVERAL_STATEMENTS = {"option": 1 << 26}
"""FLAG_MULTI_STATEMENTS: without it the server itself refuses a text of several statements, which is the default."""


SNAPSHOT_SAVEPOINT = "s2s_snapshot"
"""The savepoint with which a snapshot begins; every read rolls back to it."""


_SNAPSHOT = "start transaction with consistent snapshot, read only"


PROFILES = (
    DriverProfile(
        name="psqlodbc",
        name_pattern=r"psqlodbc|postgres",
        # Without a cursor the driver holds the whole result in memory. Its own cursors (UseDeclareFetch, or B6) crash
        # the process when the connection is cut in mid-result (13.02); its ReadOnly (A0) refuses to declare one.
        options=(
            ("BoolsAsChar", "0"),
            ("LFConversion", "0"),
            ("UseDeclareFetch", "0"),
            ("ReadOnly", "0"),
            # A data source may ask for logs, which would hold the password and every row.
            ("Debug", "0"),
            ("CommLog", "0"),
            ("KeepaliveTime", "60"),
            ("KeepaliveInterval", "10"),
        ),
        superseded_options=("usedeclarefetch", "b6", "readonly", "a0"),
        read_only_session=(
            "set session characteristics as transaction read only",
            "set datestyle = 'ISO'",
            "set intervalstyle = 'postgres'",
            "set bytea_output = 'hex'",
            "set cursor_tuple_fraction = 1.0",  # all rows will be read, so plan for all of them
        ),
        read_only_query="show transaction_read_only",
        write_rights_query=_POSTGRESQL_WRITE_RIGHTS,
        probes_encoding=True,
        autocommit=False,
        has_query_timeout=False,
        # It reads the date infinity as today, drops the sign of years BC and the zone of timestamptz, and writes
        # a uuid (described as 37 characters) in upper case.
        casts={
            ("Decimal", None): "cast({0} as text)",  # of which one may be NaN
            ("float", 10): "cast(cast({0} as numeric) as text)",  # money, whose own text has a currency and commas
            ("date", None): "cast({0} as text)",
            ("datetime", None): "cast({0} as text)",
            ("time", None): "cast({0} as text)",
            ("str", 36): "cast({0} as text)",
            ("str", 37): "cast({0} as text)",
        },
        # One value a row instead of one a column: fetching a view of 25 columns costs a quarter of the CPU time. What
        # concat makes of a value is what the server itself would send; a cast adds /32 to an address.
        packed_text="concat({0})",
        packed_marks=("chr(31)", "chr(30)"),
        packed_casts={
            ("bool", None): "case when {0} then 'true' when not {0} then 'false' end",
            ("float", 10): "cast({0} as numeric)",
            ("float", None): "case when cast({0} as text) like '%e%'"
            " then cast(cast(cast({0} as text) as numeric) as text) else cast({0} as text) end",
        },
        server_cursor=True,
        counts_statements=True,
        snapshot_transaction=("set transaction isolation level repeatable read",),
        notes=("A timestamptz reads with the offset of the session's time zone: fix that with `session`.",),
    ),
    DriverProfile(
        name="mariadb",
        name_pattern=r"maodbc|mariadb",
        refused_flags=_SEVERAL_STATEMENTS,
        # It knows nothing of ODBC's login timeout, and waits for ever on a connection that went dead.
        options=(("CONN_TIMEOUT", "{connect_timeout}"), ("READ_TIMEOUT", "{network_timeout}")),
        read_only_session=(_READ_ONLY_SESSION, _WHOLE_GROUP_CONCAT),
        read_only_again=_READ_ONLY_SESSION,
        read_only_query="show session variables where variable_name in ('tx_read_only', 'transaction_read_only')",
        write_rights_query=_MYSQL_WRITE_RIGHTS,
        probes_encoding=True,
        # SQL that is not ASCII damages its memory (3.1.15): now and then a syntax error where there is none, or the end
        # of the process.
        text_literal="_utf8mb4 x'{1}'",
        encoding="utf-8",
        has_query_timeout=False,
        converters=_TEXT_IN_BYTES,
        bits_as_bytes=True,
        # INT UNSIGNED of 2³¹ and more arrives negative, FLOAT with invented digits, TIME without sign and fraction,
        # 0000-00-00 as NULL; an impossible date raises.
        casts={
            ("int", 10): "{0} + 0",
            ("float", 7): "cast({0} as char)",
            ("date", None): "cast({0} as char)",
            ("datetime", None): "cast({0} as char)",
            ("time", None): "cast({0} as char)",
        },
        quote="`",
        packed_text="convert({0} using utf8mb4)",
        packed_marks=("_utf8mb4 x'1f'", "_utf8mb4 x'1e'"),
        packed_casts={
            # A BIT(1), of which the text is a control character.
            ("bool", None): "if({0}, 'true', 'false')",
            # Without the zeros of ZEROFILL.
            ("int", None): "{0} + 0",
            ("Decimal", None): "{0} + 0",
            # All digits in place of an exponent, where a decimal has room for them.
            ("float", None): "if(convert({0} using utf8mb4) not like '%e%', {0}, if(abs({0}) between 1e-13 and 1e34,"
            " trim(trailing '.' from trim(trailing '0' from cast(convert({0} using utf8mb4) as decimal(65, 30)))),"
            " _utf8mb4 x'1f'))",
        },
        snapshot_transaction=("set session transaction isolation level repeatable read", _SNAPSHOT),
        notes=(
            "The MariaDB driver holds the whole result in memory, about 700 bytes a row of 25 columns.",
            "The server takes the padding off CHAR; BIT(n) of more than one bit reads as hexadecimal.",
            "TINYINT(1) and BOOLEAN read as numbers.",
        ),
    ),
    DriverProfile(
        name="mysql",
        name_pattern=r"myodbc|mysql",
        refused_flags=_SEVERAL_STATEMENTS,
        read_only_session=(_READ_ONLY_SESSION, _WHOLE_GROUP_CONCAT),
        read_only_again=_READ_ONLY_SESSION,
        read_only_query="show session variables where variable_name in ('tx_read_only', 'transaction_read_only')",
        write_rights_query=_MYSQL_WRITE_RIGHTS,
        probes_encoding=True,
        converters=_TEXT_IN_BYTES,
        quote="`",
        snapshot_transaction=("set session transaction isolation level repeatable read", _SNAPSHOT),
        notes=(
            "MySQL's driver holds the whole result in memory, unless NO_CACHE=1;FORWARD_CURSOR=1 is in the connection.",
        ),
    ),
    DriverProfile(
        name="sqliteodbc",
        name_pattern=r"sqlite",
        # Rows one by one, whole 64-bit integers, no empty file where there is none, and names with their dots.
        options=(("StepAPI", "1"), ("BigInt", "1"), ("NoCreat", "1"), ("LongNames", "1")),
        read_only_session=("pragma query_only = on",),
        read_only_query="pragma query_only",
        file_option="database",
        probes_encoding=True,
        has_query_timeout=False,
        snapshot_transaction=("begin",),
        # It types an expression by its first row, and text in a column of another type reads as NULL.
        casts=dict.fromkeys(
            [(kind, None) for kind in ("str", "int", "float", "bool", "Decimal", "date", "datetime", "time")],
            _SQLITE_TEXT,
        ),
        notes=(
            "For SQLite files prefer `database = …` under [source]: it needs no driver, and is faster.",
            "This driver cuts a text at a NUL character.",
        ),
    ),
    DriverProfile(
        name="mdbtools",
        name_pattern=r"mdbtools|libmdbodbc",
        # It gives dates with a day 0 for the first days that Access knows, which no Python date can be; an Integer
        # without its sign; and of a long text what fits into its buffer. Of a Single it gives four bytes where ODBC has
        # eight; since 1.0.1 it gives all eight, and will not give its bytes as they are.
        converters={SQL_TYPE_TIMESTAMP: read_timestamp},
        legacy_converters={SQL_FLOAT: read_float32},
        fixed_in=(1, 0, 1),
        unsigned_sizes=frozenset({2}),
        float32_sizes=frozenset({4}),
        truncation_length=16_383,
        file_option="dbq",
        notes=(
            "mdbtools ignores WHERE on money columns and knows no JOIN, ORDER BY or aliases: read whole tables.",
            "mdbtools gives ?? for letters beyond the first 65,536 of Unicode, such as 😀.",
        ),
    ),
    DriverProfile(name="access", name_pattern=r"microsoft access|\*\.mdb", file_option="dbq"),
    DriverProfile(
        name="freetds",
        name_pattern=r"freetds|tdsodbc",
        autocommit=False,  # a transaction that is always rolled back: there is no session that only reads
        options=(("TDS_Version", "7.4"), ("ClientCharset", "UTF-8")),
        write_rights_query=_SQLSERVER_WRITE_RIGHTS,
        columns_query=_SQLSERVER_COLUMNS,
        columns_pattern="%",
        converters={DATETIMEOFFSET: read_datetimeoffset},
        float32_sizes=frozenset({24}),  # both drivers describe real as 24 bits, float as 53
    ),
    DriverProfile(
        name="sqlserver",
        name_pattern=r"odbc driver \d+ for sql server|msodbcsql|sql server",
        autocommit=False,  # a transaction that is always rolled back: there is no session that only reads
        options=(("ApplicationIntent", "ReadOnly"),),
        write_rights_query=_SQLSERVER_WRITE_RIGHTS,
        columns_query=_SQLSERVER_COLUMNS,
        columns_pattern="%",
        converters={DATETIMEOFFSET: read_datetimeoffset},
        float32_sizes=frozenset({24}),  # both drivers describe real as 24 bits, float as 53
        # As SQL_C_CHAR, texts come in the code page of the locale, and a scheduler's is often C.
        decoding="utf-16le",
    ),
    DriverProfile(name="pervasive", name_pattern=r"pervasive|actian|\bzen\b|btrieve"),
    DriverProfile(name="hana", name_pattern=r"hdbodbc|\bhana\b"),
    # A driver built without its wide functions cuts texts short unless they are fetched as bytes.
    DriverProfile(
        name="firebird",
        name_pattern=r"firebird|interbase|odbcfb",
        encoding="utf-8",
        decoding="utf-8",
        wide_decoding="utf-8",
        notes=("Give CHARSET=UTF8 in the connection: texts are read as UTF-8.",),
    ),
    DriverProfile(
        name="oracle",
        name_pattern=r"oracle|sqora",
        notes=("Set NLS_LANG to a UTF-8 character set, such as .AL32UTF8, where s2s runs.",),
    ),
)


OTHER = DriverProfile(name="other", name_pattern="")


def profile_of(driver: Any, options: Mapping[str, str]) -> DriverProfile:
    """The profile of the driver that the connection names, itself or through a data source."""
    name = unquote(options.get("driver", "")) or driver.dataSources().get(unquote(options.get("dsn", "")), "")
    return next((profile for profile in PROFILES if re.search(profile.name_pattern, name, re.IGNORECASE)), OTHER)
