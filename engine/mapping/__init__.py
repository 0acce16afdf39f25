"""Turn a project's templates into checked SQL.

A view and the project's values go in, a :class:`engine.model.query.Query` comes out, every place of which can be
traced back to its template. Nothing here needs a database. Start with :mod:`engine.mapping.views`.
"""
