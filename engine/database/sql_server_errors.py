"""Recognise SQL Server's errors by their number, because servers speak other languages than English.

The number stands at the end of pyodbc's text, in brackets: ``… Login failed for user 'x'. (18456) (SQLDriverConnect)``.
Numbers and meanings are from Microsoft's list of database engine events and errors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from engine.errors import ConnectError, QueryError, SourceError

_SPEAKER = re.compile(r"\[(FreeTDS|SQL Server)\]|SQL Server\]", re.IGNORECASE)

_NUMBER = re.compile(r"\((\d{1,6})\)(?=\s*(?:\(SQL\w+\)\s*)?(?:;|$))")

TRANSIENT_NUMBERS = frozenset(
    {
        *(
            20,
            64,
            121,
            233,
            596,
            601,
            617,
            669,
            701,
            922,
            924,
            927,
            942,
            952,
            976,
            978,
            982,
            983,
            1101,
            1105,
            1204,
            1205,
            1222,
            3906,
            3960,
            4221,
            6005,
            8645,
            8651,
            9001,
            9002,
            10053,
            10054,
            10060,
        ),
        *(10922, 10928, 10929, 10936, 17142, 17197, 40143, 40197, 40501, 40540, 40613, 49918, 49919, 49920),
    }
)
"""Errors after which the same may succeed: deadlocks, lock timeouts, lost connections, a server that starts or is short
of something, a database that is restored or only reads, and Azure's own throttling."""


@dataclass(frozen=True, slots=True)
class NumberedError:
    """What an error of SQL Server means, and what to do next."""

    message: str
    hint: str
    error: type[SourceError] = QueryError


_LOGIN = NumberedError(
    "The database refuses the login.",
    "Check the user and the password in .env, and that the server allows SQL Server logins (mixed mode).",
    ConnectError,
)
_DATABASE = NumberedError(
    "There is no such database, or the login may not use it.",
    "Check Database= in the connection and the databases that the view names; the login needs a user in each.",
    ConnectError,
)
_RIGHTS = NumberedError(
    "The login may not read everything that the view reads.",
    "Grant SELECT on it to the login; the driver's page has the SQL.",
)
_CONVERSION = NumberedError(
    "A value cannot be converted as the view does.",
    "Use try_convert or try_cast in the view, which give NULL; the value itself is not shown here.",
)
_LOCKED = NumberedError(
    "Another session has locked what the view reads.",
    "Run again; if it happens again, use read committed snapshot isolation: the driver's page says how.",
)
_PASSWORD_CHANGE = NumberedError(
    "The login's password has expired or must be changed.", "Set a new one in SQL Server, and in .env.", ConnectError
)

_ERRORS = {
    **dict.fromkeys((18450, 18452, 18456, 18470, 18486), _LOGIN),
    **dict.fromkeys((18463, 18464, 18465, 18466, 18467, 18468, 18487, 18488), _PASSWORD_CHANGE),
    **dict.fromkeys((911, 916, 4060, 4063, 4064), _DATABASE),
    **dict.fromkeys((229, 230, 297, 300), _RIGHTS),
    **dict.fromkeys((241, 242, 244, 245, 248, 8114, 8115, 8169), _CONVERSION),
    **dict.fromkeys((1205, 1222), _LOCKED),
    40615: NumberedError(
        "The server's firewall does not let this machine in.",
        "Have its address added to the firewall rules of the Azure SQL server.",
        ConnectError,
    ),
    208: NumberedError(
        "The view names a table that the database does not have.",
        "Check the spelling and the schema (dbo.), and that the login may see it. `s2s render` shows the SQL.",
    ),
    207: NumberedError(
        "The view names a column that its tables do not have.",
        "Check the spelling against the table. `s2s render` shows the SQL.",
    ),
    209: NumberedError(
        "A column of the view is in more than one of its tables.", "Write the table's alias in front of it: i.Code."
    ),
    4104: NumberedError(
        "The view names a column by a table or alias that its FROM does not have.",
        "Where a table has an alias, its columns are named by the alias alone.",
    ),
    195: NumberedError(
        "This version of SQL Server does not know a function that the view calls.",
        "STRING_AGG needs SQL Server 2017: give sqlserver_version under [vars], and the macros write older SQL.",
    ),
    512: NumberedError(
        "A subquery of the view gives more than one row where one value is needed.",
        "Write top (1) with an order in it, or max(…); or join the table instead.",
    ),
    601: NumberedError(
        "The database moved rows while the view read them without locks.",
        "Run again. It comes of NOLOCK or READ UNCOMMITTED: the driver's page says what to use instead.",
    ),
    3952: NumberedError(
        "The database does not allow snapshot isolation.",
        "Its administrator allows it with: alter database … set allow_snapshot_isolation on.",
    ),
    8155: NumberedError("A column of a subquery has no name.", "Give it one: as name."),
    8156: NumberedError("A column's name appears twice in a subquery.", "Give one of them another name: as name."),
}


def sql_server_numbers(text: str) -> tuple[int, ...]:
    """The numbers of the errors in a driver's text, in order; none where it is not a text of SQL Server's drivers."""
    return tuple(int(number) for number in _NUMBER.findall(text)) if _SPEAKER.search(text) else ()


def numbered_error(text: str) -> NumberedError | None:
    """What the first error in a driver's text means that is known."""
    return next((_ERRORS[number] for number in sql_server_numbers(text) if number in _ERRORS), None)
