"""Load pyodbc, and list the ODBC drivers that are installed here.

pyodbc is imported when it is first needed: it cannot be loaded where there is no ODBC driver manager, and a project
that reads a DuckDB or SQLite file needs none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from engine.errors import DriverError

LOG_FOLDER = Path("/tmp")  # noqa: S108 - where psqlODBC writes its logs, whatever TMPDIR says


def installed_drivers() -> tuple[str, ...]:
    """The ODBC drivers that the driver manager knows. Raises :class:`DriverError` when there is no driver manager."""
    return tuple(load_pyodbc().drivers())


def load_pyodbc() -> Any:
    """The module ``pyodbc``. Raises :class:`DriverError` where there is no driver manager."""
    try:
        import pyodbc
    except ImportError as error:
        raise DriverError(
            f"ODBC cannot be used here: {error}",
            hint="Install the ODBC driver manager:\n"
            "  Debian, Ubuntu:  apt-get install unixodbc\n"
            "  RHEL, Fedora:    dnf install unixODBC\n"
            "  macOS:           brew install unixodbc\n"
            "  Windows:         it is part of Windows; reinstall pyodbc\n"
            "then the driver of the client's database. DuckDB and SQLite files need neither: name them in `database`.",
        ) from None
    pyodbc.pooling = False  # a pooled connection would come back with another run's session settings
    return pyodbc


def find_driver_logs() -> list[Path]:
    """The log files that psqlODBC has begun for this process, once a connection was made.

    It names them ``psqlodbc_PROGRAM_USERNUMBER.log`` and ``mylog_…`` after the process.
    """
    return sorted(
        path for kind in ("psqlodbc", "mylog") for path in LOG_FOLDER.glob(f"{kind}_*[!0-9]{os.getpid()}.log")
    )
