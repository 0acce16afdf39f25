"""What ran, what runs now and what became of it, for all projects of a workspace, readable at any time.

Whoever runs a project or raises an order writes here; ``s2s status`` and others read, while a run is under way, and
without any project's passwords. The run log only repeats what states and ledgers hold: where it is lost, nothing else
is, and where it cannot be written, a warning says so and nothing fails. Start with :mod:`engine.run_log.record`.
"""
