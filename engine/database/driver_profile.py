"""What differs between ODBC drivers, as a type: each driver's own values are in :mod:`engine.database.drivers`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverProfile:
    """What a family of ODBC drivers needs."""

    name: str

    name_pattern: str
    """A regular expression that is looked for in the driver's name, whatever its case."""

    options: tuple[tuple[str, str], ...] = ()
    """Options of the connection string, unless the project gives them: ``{connect_timeout}``, ``{query_timeout}`` and
    ``{network_timeout}`` are filled in, in seconds."""

    superseded_options: tuple[str, ...] = ()
    """Options, in lower case, that are left out of the connection string, because something better does their work."""

    read_only_session: tuple[str, ...] = ()
    """Statements that run first on a connection that only reads."""

    read_only_again: str = ""
    """A statement that runs before each view, where what another view calls could let later statements write."""

    read_only_query: str = ""
    """A query whose last value is ``on`` or ``1`` where the connection can only read."""

    write_rights_query: str = ""
    """A query whose only value is 1 where the login itself may write, whatever the session allows."""

    encoding: str = ""
    """In which encoding SQL is sent; ``decoding`` and ``wide_decoding`` are those of narrow and wide texts."""

    decoding: str = ""
    wide_decoding: str = ""

    probes_encoding: bool = False
    """Whether the encodings are found out when connecting, as :meth:`OdbcConnection._probe_text_encoding` does."""

    text_literal: str = "'{0}'"
    """How a text is written that is not ASCII: ``{0}`` is the text with its quotes doubled, ``{1}`` its UTF-8 in
    hexadecimal."""

    autocommit: bool = True

    has_query_timeout: bool = True
    """Whether the driver supports ODBC's own query timeout."""

    casts: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    """The SQL that gets a column's value across unharmed, by the type and the size under which the driver describes
    it (None for any size); ``{0}`` is the column."""

    quote: str = '"'
    """What encloses a column's name."""

    packed_text: str = ""
    """SQL that makes a text of a value, to send all values of a row as one text; blank where rows are not packed."""

    packed_marks: tuple[str, str] = ("", "")
    """SQL of :data:`~engine.database.connection.SEPARATOR` and :data:`~engine.database.connection.NULL_MARK`."""

    packed_casts: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    """Like ``casts``, for the types whose text in a packed row is not the one that is promised. A value that cannot be
    packed becomes the separator, so that the row has more values than columns."""

    server_cursor: bool = False
    """Whether the rows are fetched through a cursor of the server's, which is declared in SQL."""

    counts_statements: bool = False
    """Whether that cursor can be opened over a text, of which the server itself says whether it is one statement."""

    refused_flags: Mapping[str, int] = field(default_factory=dict)
    """Bits that are taken out of an option's number on a connection that only reads, by the option in lower case."""

    converters: Mapping[int, Callable[[bytes | None], object]] = field(default_factory=dict)
    """What makes a value of the bytes of an ODBC type that pyodbc reads wrong, by the type's number."""

    legacy_converters: Mapping[int, Callable[[bytes | None], object]] = field(default_factory=dict)
    """Further converters that only drivers older than the version ``fixed_in`` need."""

    fixed_in: tuple[int, ...] = ()

    unsigned_sizes: frozenset[int] = frozenset()
    """The sizes in bytes of integers that arrive without their sign."""

    float32_sizes: frozenset[int] = frozenset()
    """The sizes under which floats of four bytes are described: they arrive with more digits than they have."""

    bits_as_bytes: bool = False
    """Whether a BIT column of n bits is described as n bytes, of which it gives an eighth."""

    truncation_length: int = 0
    """A text of so many bytes may be the beginning of a longer one; 0 where the driver never cuts."""

    file_option: str = ""
    """The option that names the database's file, in lower case, where the database is a file."""

    snapshot_transaction: tuple[str, ...] = ()
    """Statements that begin a transaction in which every read sees the same moment."""

    columns_query: str = ""
    """A SELECT of schema, table, column and type of every column; where it is blank, the driver's catalogue is asked.
    SQL Server's asks a procedure, ``sp_columns``, that gives nothing without a table's name."""

    columns_pattern: str | None = None
    """The pattern of tables' names with which all columns are listed, where the driver needs one."""

    notes: tuple[str, ...] = ()
    """What the driver gets wrong and the engine cannot correct, for people."""
