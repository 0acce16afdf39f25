"""Read a project: ``project.toml``, its variables and the workspace around it.

A folder goes in, a frozen :class:`engine.model.settings.Project` comes out, or one error with every diagnostic at once,
each with its file and line. Start with :mod:`engine.config.loader`.
"""
