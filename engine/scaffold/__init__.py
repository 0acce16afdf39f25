"""Begin a project: look into a database and propose the views.

A connection goes in, a folder with ``project.toml`` and views comes out. Start with :mod:`engine.scaffold.scaffold`.
"""
