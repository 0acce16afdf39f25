"""Translate a database's errors into what is wrong and what to do next.

An error is recognised by its SQLSTATE first, whose classes the ODBC and SQL standards give; then by words that drivers
were seen to use. Values that a database repeats in its message are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.database.sql_server_errors import TRANSIENT_NUMBERS, numbered_error, sql_server_numbers
from engine.errors import ConnectError, DriverError, QueryError, SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """How to recognise an error of a database, and what to say of it.

    ``states`` must match its whole SQLSTATE, ``words`` are looked for in its text, whatever their case; blank ones fit
    nothing. ``error`` is the exception to raise, where it is not the usual one of the situation.
    """

    states: str
    words: str
    message: str
    hint: str
    error: type[SourceError] | None = None

    def fits_state(self, state: str) -> bool:
        """Whether the rule is for this SQLSTATE."""
        return bool(self.states and re.fullmatch(self.states, state))

    def fits_words(self, text: str) -> bool:
        """Whether the rule is for a message with this text."""
        return bool(self.words and re.search(self.words, text, re.IGNORECASE))


_ALWAYS_RULES = (
    ErrorRule(
        r"28000|28P01",
        r"password authentication failed|no password supplied|login failed|logon denied|ora-01017|authentication failed"
        r"|access denied for user .*\(using password|user name and password are not defined",
        "The database refuses the login.",
        "Check the user and the password in .env, and that the login may connect from this machine.",
        ConnectError,
    ),
    ErrorRule(
        r"3D000",
        r"^(fatal: )?database .* does not exist|: database .* does not exist|unknown database|cannot open database"
        r"|denied for user .* to database",
        "There is no such database, or the login may not use it.",
        "Check Database= in the connection, and that the login was granted access to it.",
        ConnectError,
    ),
    ErrorRule(
        "",
        r"certificate|ssl (provider|error)(?!.*unsupported protocol)|ssl connection|\btls\b|encryption not supported",
        "The encrypted connection failed.",
        "Microsoft's driver 18 encrypts unless told otherwise and refuses a self-signed certificate: install the"
        " server's certificate, or add TrustServerCertificate=yes on a network that you trust.",
        ConnectError,
    ),
    ErrorRule(
        r"53300",
        r"too many (clients|connections)|remaining connection slots",
        "The database takes no more connections.",
        "Try later, or ask its administrator to raise the limit.",
        ConnectError,
    ),
)

_CONNECT_RULES = (
    ErrorRule(
        "",
        r"0x2746|unsupported protocol|sspi|kerberos",
        "The server and the driver did not agree on encryption or on how to log in.",
        "0x2746 and *unsupported protocol*: an old server that speaks only TLS 1.0 needs an older driver with"
        " Encrypt=no, or an update. SSPI and Kerberos: give UID and PWD of a SQL Server login, or a valid ticket of the"
        " account.",
        ConnectError,
    ),
    ErrorRule(
        "",
        r"translate host name|unknown (mysql )?server host|name or service not known|could not resolve|getaddrinfo"
        r"|nodename nor servname|no such host",
        "The server's name cannot be resolved.",
        "Check the server in the connection, and the DNS of this machine.",
    ),
    ErrorRule(
        "",
        r"did not supply an error|connect failed|not a database|unrecognized database format",
        "The driver cannot open the file as a database.",
        "Check the file's path and its rights, and that the copy of the file is complete.",
    ),
    ErrorRule(
        r"HYT0[01]",
        r"time-?out|timed out|system error: 1[01]\d",
        "The database does not answer.",
        "Check the server's name and port, that it runs, and the firewall between here and there.",
    ),
)

_UNREACHABLE = ErrorRule(
    "",
    "",
    "The database cannot be reached.",
    "Check server, port and database in the connection, that the server runs, and the firewall.",
)

_READ_RULES = (
    ErrorRule(
        "",
        r"disabled by configuration|configuration has been locked|^not authorized($| to use function)"
        r"|^authorization denied$|access to \S+ is prohibited|too many attached databases"
        r"|extension .* (exists|is not in|has not been|not found)"
        r"|could not be loaded|autoloading|requires the extension",
        "The SQL reaches for what is outside of its database: a file, another database, an extension or a setting.",
        "A view and a data test read their own database alone; load the file into a table of it first.",
    ),
    ErrorRule(
        "",
        r"odbc sql type -?\d+ is not yet supported",
        "The view has a column of a type that the driver does not give.",
        "Write it as text: cast(… as nvarchar(4000)). On SQL Server -150 is sql_variant, -151 a type of .NET such as"
        " geography.",
    ),
    ErrorRule(
        r"42P11",
        r"cannot open .* as cursor",
        "A view is one SELECT, and this is something else or more than one statement.",
        "Write one SELECT; CTEs may help. `s2s render` shows the SQL as it was sent.",
    ),
    ErrorRule(
        r"HYT0[01]|57014|70100|HY008|HY018",
        r"max_statement_time|statement timeout|query timeout|time-?out expired|interrupt",
        "The view took too long.",
        "Raise query_timeout under [source], or make the view faster: an index, fewer joins.",
    ),
    ErrorRule(
        r"53200|HY001",
        r"out of memory|bad allocation|cannot allocate memory",
        "There is too little memory for the view.",
        "Leave very long texts, sorting or large joins out of the view, or give the machine that runs it more memory.",
    ),
    ErrorRule(
        r"08...|57P0.",
        r"closed the connection|lost connection|gone away|communication link|unexpected eof from the server"
        r"|(read from|write to) the server failed"
        r"|connection (has been|was) (lost|reset|closed)|connection reset|broken pipe|terminating connection",
        "The connection broke while the view was read; nothing that was read is used.",
        "Run again. If it happens again, look at the database's log and the network.",
    ),
    ErrorRule(
        r"42S02|42P01",
        r"no such table|invalid object name|table .*doesn't exist|ora-00942|table unknown|invalid table name"
        r"|table with name .* does not exist",
        "The view names a table that the database does not have.",
        "Check the spelling and the schema, and that the login may see it. `s2s render` shows the SQL.",
    ),
    ErrorRule(
        r"42S22|42703",
        r"no such column|unknown column|invalid column name|ora-00904|column unknown|referenced column",
        "The view names a column that its tables do not have.",
        "Check the spelling against the table. `s2s render` shows the SQL.",
    ),
    ErrorRule(
        r"42501",
        r"permission .*denied|command denied|ora-01031|insufficient privilege|no permission",
        "The login may not read everything that the view reads.",
        "Grant SELECT on it to the login; the driver's page has the SQL.",
    ),
    ErrorRule(
        r"25006",
        r"read.?only|only select",
        "The view tries to write, and this connection only reads.",
        "A view is one SELECT; what it calls may not write either.",
    ),
    ErrorRule(
        r"40001|40P01|55P03",
        r"database (table )?is locked|deadlock|lock wait timeout|lock request time",
        "Another session has locked what the view reads.",
        "Run again; if it happens again, run at a quieter time.",
    ),
    ErrorRule(
        r"07006",
        r"",
        "The driver cannot deliver a column's type.",
        "Use the driver's Unicode variant, or cast the column to text in the view.",
    ),
    ErrorRule(
        r"22...",
        r"conversion error|could not convert|division by zero",
        "A value cannot be converted or calculated as the view does.",
        "Look at the casts and calculations in the view; the value itself is not shown here.",
    ),
    ErrorRule(
        r"42601|37000",
        r"syntax|couldn't parse",
        "The database does not understand the view's SQL.",
        "Check `dialect` under [source]. `s2s render` shows the SQL as it was sent.",
    ),
)

_REFUSED = ErrorRule(
    "",
    "",
    "The database refused the view.",
    "`s2s render` shows the SQL as it was sent; try it in the database's own console.",
)


def translate_error(
    state: str,
    text: str,
    *,
    connecting: bool,
    drivers: Callable[[], Sequence[str]] = tuple,
    without_secrets: Callable[[str], str] = str,
) -> SourceError:
    """Translate a driver's SQLSTATE and message into an error with a hint.

    The message is recognised as the driver wrote it, and shown ``without_secrets``: a password may be one of its words.

    ``drivers`` lists the installed ODBC drivers, for the hint where one is missing. Values that
    a database quotes in an error about data (class 22) are left out.
    """
    numbered = numbered_error(text)
    text = plain_message(text)
    shown = without_secrets(text)
    if state.startswith("22") or "onversion" in text:
        shown = re.sub(r"(['\"]).*\1", r"\1…\1", shown)
    state = state if state.strip("0") else ""
    message = f"The database says: {shown} [{state}]" if state else f"The database says: {shown}"
    if state in {"IM002", "IM003", "IM004"} or "can't open lib" in text.lower():
        known = ", ".join(drivers()) or "none"
        return DriverError(
            f"The ODBC driver or data source of the connection is not installed here. {message}",
            hint=f"Installed drivers: {known}. Install the right one, or fix Driver= in the connection.",
        )
    if numbered:
        return numbered.error(f"{numbered.message} {message}", hint=numbered.hint)
    # A table or a column may be called after anything that can go wrong with a connection.
    candidates = (*_ALWAYS_RULES, *_CONNECT_RULES) if connecting else (*_READ_RULES, *_ALWAYS_RULES)
    fitting = [
        *(rule for rule in candidates if rule.fits_state(state)),
        *(rule for rule in candidates if rule.fits_words(text)),
        _UNREACHABLE if connecting else _REFUSED,
    ]
    rule = fitting[0]
    error = rule.error or (ConnectError if connecting else QueryError)
    return error(f"{rule.message} {message}", hint=rule.hint)


def plain_message(text: str) -> str:
    """A driver's message without the brackets, call names and advice that it wraps around the database's own words."""
    text = re.sub(r"^(\[[^\]]*\]\s*)+", "", text)
    text = re.sub(r"(\s*\((SQL\w+|-?\d+)\))+\s*$", "", text)
    text = re.sub(
        r";\s*Error while (preparing|executing|fetching)[^;]*$|\s*(This probably means|Possible solutions:).*",
        "",
        text,
        flags=re.DOTALL,
    )
    return re.sub(r"\s+", " ", text).strip(" ;")


# Of PostgreSQL 53...: no space, no memory, no connections: https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT_SQLSTATES = re.compile(
    r"40001|40P01|40003|53...|55P03|57014|57P0.|08...|HYT0[01]|S1T00|25006|25P0[23]|1205|1213"
)
_TRANSIENT_WORDS = re.compile(
    r"deadlock|lock wait timeout|lock request time|could not (obtain|set) lock|database (table )?is (locked|busy)"
    r"|(resource|server is) busy|lost connection|gone away|unexpected eof from the server"
    r"|(read from|write to) the server failed|--(super-)?read-only|internal (savepoint|release|rollback)\b.* failed"
    r"|connection (has been|was) (lost|reset|closed)|closed the connection|broken pipe|communication link"
    r"|lock conflict|(transaction|write-write) conflict|conflict on (tuple|update)|conflicts with concurrent"
    r"|terminating connection"
    # Oracle: starting, stopping, out of sessions or of space for its log, open for reading alone.
    r"|ora-(00018|00020|00054|00257|01033|01034|01089|01090|03113|03114|12514|12516|12519|12520|12528|12541|16000)\b",
    re.IGNORECASE,
)

_MARIADB_SPEAKER = re.compile(r"\[(mysqld|[^\]]*MariaDB|ma-|MySQL)[^\]]*\]", re.IGNORECASE)
_MARIADB_NUMBER = re.compile(r"\((\d{4})\)(?=\s*(?:\(SQL\w+\)\s*)?(?:;|$))")

_MARIADB_TRANSIENT_NUMBERS = frozenset(
    {
        *("1021", "1040", "1041", "1053", "1077", "1079", "1158", "1159", "1160", "1161", "1184", "1203", "1205"),
        *("1213", "1226", "1317", "1836", "1927", "1969", "2002", "2003", "2006", "2013", "2055", "3024"),
    }
)
"""Errors of MariaDB and MySQL after which the same may succeed: no space, no connections, a server that shuts down or
only reads, a lost connection, a statement that was interrupted. https://mariadb.com/kb/en/mariadb-error-code-reference/

1290 is not among them: it is any option of the server's that prevents a statement."""


def is_transient(state: str, text: str) -> bool:
    """Whether the same may succeed when it is run again: after a deadlock, a timeout, a restart, a lost connection.

    ``text`` is the driver's own. Errors of SQL Server, MariaDB and MySQL are known by their numbers, since servers
    speak other languages; the words of an error of SQL Server's may be a procedure's.
    """
    if _MARIADB_SPEAKER.search(text) and not _MARIADB_TRANSIENT_NUMBERS.isdisjoint(_MARIADB_NUMBER.findall(text)):
        return True
    numbers = sql_server_numbers(text)
    if not TRANSIENT_NUMBERS.isdisjoint(numbers) or _TRANSIENT_SQLSTATES.fullmatch(state):
        return True
    return not numbers and bool(_TRANSIENT_WORDS.search(text))


ROLLED_BACK_SQLSTATES = frozenset({"40000", "40001", "40002", "40P01"})
"""States with which a database says that it rolled the transaction back."""


_QUOTED = re.compile(
    r"(?:(?<!\w)|(?<=\bN))(?P<quote>['\"])(?P<inside>(?:(?!(?P=quote)).|(?P=quote)(?=\w))*)(?:(?P=quote)|\Z)", re.DOTALL
)
"""What stands in quotes. Within a word a quote is an apostrophe; what is never closed goes to the end."""


def redact_values(text: str, binds: Sequence[object]) -> str:
    """A database's message without the values that it repeats, which are a customer's; one-word names stay.

    ``binds`` are the statement's values. Where the statement changed a value first, as UPPER does, it is recognised by
    what stands before it, such as ``entry`` or ``value``.
    """
    for value in sorted({str(value).strip() for value in binds if value is not None} - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", "…", text, flags=re.IGNORECASE)
    text = re.sub(r"=\s*\(.*\)|key value is \(.*\)", lambda found: found[0].partition("(")[0] + "…", text)
    text = re.sub(r"\b(entry|value:?|string:?|syntax for [\w ]+:) +(['\"]).*?\2", r"\1 …", text)
    text = _QUOTED.sub(lambda found: found[0] if re.fullmatch(r"\w+", found["inside"]) else "…", text)
    return re.sub(r"\((?!\w+\)=)[^()]*\)", "…", text)


def state_and_text(error: Exception) -> tuple[str, str]:
    """An ODBC error's SQLSTATE and text; for other modules' errors a blank state and the text."""
    if len(error.args) > 1:
        return str(error.args[0]), str(error.args[1])
    return "", str(error)
