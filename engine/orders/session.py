"""Set up the database session in which orders are raised."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.database.connection import Writer


def make_strict(writer: Writer, dialect: str) -> None:
    """Have MySQL and MariaDB refuse values that do not fit, instead of cutting or replacing them in silence.

    Their servers may be set up either way; other databases always refuse. Raises :class:`WriteError` as the writer
    does.
    """
    if dialect == "mysql":
        # https://mariadb.com/kb/en/sql-mode/: of all tables, also of those that cannot undo anything.
        writer.execute("set session sql_mode = concat_ws(',', @@session.sql_mode, 'STRICT_ALL_TABLES')", ())
        writer.rollback()
