"""A database's error is recognised whatever it is called, and says nothing that it should not.

The texts of SQL Server are as Microsoft's driver 18 and FreeTDS 1.3 give them; no SQL Server was run here.
"""

from __future__ import annotations

import pytest

from engine.database.connection_string import password_hint
from engine.database.error_messages import is_transient, redact_values, translate_error
from engine.errors import ConnectError, DriverError, QueryError

MARIADB = "[ma-3.1.15][10.11.19-MariaDB]"
MICROSOFT = "[Microsoft][ODBC Driver 18 for SQL Server][SQL Server]"
WRONG_DATABASE = (
    f"[28000] {MICROSOFT}Cannot open database 'Ev0'. (4060) (SQLDriverConnect);"
    f" [28000] {MICROSOFT}Login failed for user 's2s'. (18456)"
)


@pytest.mark.parametrize(
    ("state", "text", "expected", "hint"),
    [
        (
            "28000",
            WRONG_DATABASE,
            "no such database, or the login may not use it",
            "Database=",
        ),
        (
            "28000",
            f"[28000] {MICROSOFT}Fehler bei der Anmeldung für den Benutzer 's2s'. (18456) (SQLDriverConnect)",
            "refuses the login",
            "mixed mode",
        ),
        ("28000", f"[28000] {MICROSOFT}Das Kennwort ist abgelaufen. (18487) (SQLDriverConnect)", "has expired", ".env"),
        (
            "42000",
            "[42000] [FreeTDS][SQL Server]Login failed for user 's2s'. (18456) (SQLDriverConnect)",
            "login",
            ".env",
        ),
    ],
)
def test_a_connection_that_sql_server_refuses_is_told_by_the_number(
    state: str, text: str, expected: str, hint: str
) -> None:
    """Some drivers give the state of a login for a wrong database, and servers speak other languages."""
    error = translate_error(state, text, connecting=True)
    assert isinstance(error, ConnectError)
    assert expected in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("state", "number", "text", "expected"),
    [
        ("08004", 916, 'The server principal "s2s" is not able to access the database "payroll"', "no such database"),
        ("42000", 4104, 'The multi-part identifier "i.Code" could not be bound.', "alias that its FROM does not have"),
        ("42000", 209, "Ambiguous column name 'Code'.", "more than one of its tables"),
        ("42000", 195, "'STRING_AGG' is not a recognized built-in function name.", "does not know a function"),
        ("42000", 8114, "Error converting data type varchar to numeric.", "cannot be converted"),
        ("21000", 512, "Subquery returned more than 1 value.", "more than one row"),
        ("42000", 3952, "Snapshot isolation transaction failed accessing database 'Evo'", "snapshot isolation"),
        ("42000", 1222, "Lock request time out period exceeded.", "has locked"),
        ("42000", 601, "Could not continue scan with NOLOCK due to data movement.", "without locks"),
        ("42S02", 208, "Ungültiger Objektname 'dbo.Stock'.", "names a table"),
        ("42000", 229, "The SELECT permission was denied on the object 'Stock'", "may not read everything"),
    ],
)
def test_a_view_that_sql_server_refuses_is_told_by_the_number(
    state: str, number: int, text: str, expected: str
) -> None:
    """With what to do next."""
    error = translate_error(state, f"[{state}] {MICROSOFT}{text} ({number}) (SQLExecDirectW)", connecting=False)
    assert expected in error.message
    assert text.rstrip(".") in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ("Driver={FreeTDS};Server=x;UID=u;PWD={a}}b}", True),
        ("Driver=/usr/lib/libtdsodbc.so;Server=x;UID=u;PWD={a;}}}", True),
        ("Driver={FreeTDS};Server=x;UID=u;PWD={a;b}", False),
        ("Driver={ODBC Driver 18 for SQL Server};Server=x;UID=u;PWD={a}}b}", False),
    ],
)
def test_a_password_that_freetds_does_not_read_is_said(connection: str, *, said: bool) -> None:
    """It would only say that the login failed."""
    assert ("FreeTDS 1.3" in password_hint(connection)) == said


@pytest.mark.parametrize(
    ("text", "expected", "hint"),
    [
        ("TCP Provider: An existing connection was forcibly closed. (0x2746) (10054)", "did not agree", "Encrypt=no"),
        ("SSL Provider: [error:0A000102:SSL routines::unsupported protocol] (-1)", "did not agree", "TLS 1.0"),
        ("SSPI Provider: No Kerberos credentials available (default cache) (851968)", "did not agree", "UID and PWD"),
        (
            "SSL Provider: The certificate chain was issued by an authority that is not trusted. (-2146893019)",
            "",
            "Trust",
        ),
        ("Login timeout expired (0) (SQLDriverConnect)", "does not answer", "firewall"),
    ],
)
def test_a_way_to_sql_server_that_fails_says_where(text: str, expected: str, hint: str) -> None:
    """Old servers, tickets, certificates, and what Microsoft's driver says of everything else."""
    error = translate_error("08001", f"[08001] [Microsoft][ODBC Driver 18 for SQL Server]{text}", connecting=True)
    assert isinstance(error, ConnectError)
    assert expected in error.message
    assert hint in error.hint


def test_a_type_that_the_driver_does_not_give_is_named() -> None:
    """sql_variant, as pyodbc words it."""
    text = "('ODBC SQL type -150 is not yet supported.  column-index=0  type=-150', 'HY106')"
    error = translate_error("HY106", text, connecting=False)
    assert "of a type that the driver does not give" in error.message
    assert "sql_variant" in error.hint


def test_a_number_of_another_database_means_nothing_of_the_sort() -> None:
    """And neither does a number in the middle of a text."""
    mysql = "[ma-3.1.15][10.11.19-MariaDB]Unknown column 'x' in 'field list' (208) (SQLExecDirectW)"
    assert "names a column" in translate_error("42S22", mysql, connecting=False).message
    text = f"[42000] {MICROSOFT}Customer (1205) is on hold. (50000) (SQLExecDirectW)"
    assert not is_transient("42000", text)


@pytest.mark.parametrize(
    ("state", "text", "transient"),
    [
        ("40001", f"{MICROSOFT}Transaction was deadlocked (1205) (SQLExecDirectW)", True),
        ("42000", f"{MICROSOFT}Sperrtimeout (1222) (SQLExecDirectW)", True),
        ("42000", f"{MICROSOFT}The service has encountered an error (40197) (SQLExecDirectW)", True),
        ("HY000", f"{MICROSOFT}Database 'x' is not currently available (40613) (SQLExecDirectW)", True),
        ("HY000", f"{MICROSOFT}Cannot continue the execution because the session is in the kill state. (596)", True),
        ("08S01", "[FreeTDS][SQL Server]Unexpected EOF from the server (20017) (SQLExecDirectW)", True),
        ("HY000", "[FreeTDS][SQL Server]Unexpected EOF from the server", True),
        ("42000", f"{MICROSOFT}Cannot resolve the collation conflict (468) (SQLExecDirectW)", False),
        ("42000", f"{MICROSOFT}The order conflicts with the credit limit of Busy Bee. (50000) (SQLExecDirectW)", False),
        ("HY000", "The account of Busy Bee conflicts with the rules", False),
        ("25006", "cannot execute INSERT in a read-only transaction", True),
        ("HY000", "The MariaDB server is running with the --read-only option so it cannot execute this", True),
        ("HY000", "Le serveur MariaDB est démarré avec l'option --read-only (1290) (SQLExecDirectW)", True),
        ("HY000", f"{MARIADB}Server is running in read-only mode (1836) (SQLExecDirectW)", True),
        (
            "70100",
            f"{MARIADB}Query execution was interrupted (max_statement_time exceeded) (1969) (SQLExecDirectW)",
            True,
        ),
        ("HY000", f"{MARIADB}Zu viele Verbindungen (1040) (SQLDriverConnect)", True),
        ("08004", "[MySQL][ODBC 8.0(w) Driver]Too many connections (1040)", True),
        ("HY000", "[MySQL][ODBC 8.0(w) Driver][mysqld-8.0.36]Query execution was interrupted (3024)", True),
        ("HY000", f"{MARIADB}The account of (1040) is on hold (1644) (SQLExecDirectW)", False),
        ("HY000", f"{MARIADB}The server is running with --secure-file-priv (1290) (SQLExecDirectW)", False),
        ("53100", "could not extend file: No space left on device", True),
        ("53300", "too many connections for role", True),
        ("HY000", "internal SAVEPOINT failed;\nError while executing the query (1) (SQLExecDirectW)", True),
        ("42000", f"{MICROSOFT}Failed to update database 'Evo' because the database is read-only. (3906)", True),
        ("42000", f"{MICROSOFT}The transaction log for database 'Evo' is full. (9002) (SQLExecDirectW)", True),
        ("HY000", "[Oracle][ODBC][Ora]ORA-16000: database open for read-only access", True),
        ("HY000", "[Oracle][ODBC][Ora]ORA-20001: customer on hold", False),
        ("", "TransactionContext Error: Conflict on tuple deletion!", True),
        ("", "database is locked", True),
    ],
)
def test_what_may_succeed_later_is_told_from_what_a_person_must_look_at(
    state: str, text: str, *, transient: bool
) -> None:
    """By the number where there is one: a procedure's own words may sound like anything."""
    assert is_transient(state, text) == transient


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Account 'C01' of 'VAN DER MERWE J' is on hold", "Account 'C01' of … is on hold"),
        (
            'new row for relation "item" violates check "a b" of "c d"',
            'new row for relation "item" violates check … of …',
        ),
        ("The user's row 'VAN DER MERWE J' doesn't fit", "The user's row … doesn't fit"),
        ("Column 'code' of 'O'Brien J' is 'never closed", "Column 'code' of … is …"),
        ("Value N'VAN DER MERWE J' of column 'name'", "Value … of column 'name'"),
    ],
)
def test_what_stands_in_quotes_is_left_out_pair_by_pair(text: str, shown: str) -> None:
    """A name of one word stays, and an apostrophe opens nothing."""
    assert redact_values(text, []).replace("N…", "…") == shown


def test_a_right_that_is_missing_is_told_from_sql_that_reaches_outside() -> None:
    """SAP HANA says of the one what SQLite says of the other."""
    missing = translate_error("S1000", "[SAP AG]Insufficient privilege: Not authorized (258)", connecting=False)
    assert "may not read everything" in missing.message
    assert "outside of its database" in translate_error("", "not authorized", connecting=False).message


def test_an_error_is_recognised_before_its_secrets_are_taken_out() -> None:
    """A password may be a word of the error."""
    error = translate_error(
        "01000",
        "[01000] [unixODBC][Driver Manager]Can't open lib 'ODBC Driver 18 for SQL Server' : file not found (0)",
        connecting=True,
        drivers=lambda: ("FreeTDS",),
        without_secrets=lambda text: text.replace("open", "***"),
    )
    assert isinstance(error, DriverError)
    assert "Can't *** lib" in error.message
    assert "FreeTDS" in error.hint


def test_too_little_memory_is_said_without_the_advice_of_the_library() -> None:
    """DuckDB's own advice is about settings that nobody can make here."""
    error = translate_error(
        "",
        "Out of Memory Error: Failed to allocate block of 32768 bytes (bad allocation)\nPossible solutions:\n* SET x",
        connecting=False,
    )
    assert isinstance(error, QueryError)
    assert "too little memory" in error.message
    assert "Possible solutions" not in error.message
