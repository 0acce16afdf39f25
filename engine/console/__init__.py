"""The console: web pages on which people see what each project does, and act on what needs them.

The run log, the ledgers and the configuration go in; HTML comes out, made on this machine and without a script that is
needed. Looking holds no run up and needs no project's password. What a page shows may come from anybody who can write
into an order or a database: it is text, never markup. Whoever acts is known by name, and noted.
Start with :mod:`engine.console.application`.
"""
