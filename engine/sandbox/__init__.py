"""A local Stock2Shop to try a mapping against: the API of ``docs/openapi.yaml`` over HTTP, in memory.

Its rules are Stock2Shop's public ones, and it can be asked to fail. Start with :mod:`engine.sandbox.server`.
"""
