"""Read and write a client's database.

SQL goes in, Arrow record batches come out; orders are written in transactions. A result never ends early without an
error, and whatever the driver says is translated into what to do next. Start with :mod:`engine.database.open`, which
chooses between ODBC, SQLite and DuckDB; :mod:`engine.database.connection` holds the protocols and says how values
read.
"""
