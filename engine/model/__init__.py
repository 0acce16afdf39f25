"""The frozen nouns that packages hand to each other, and the catalogue of Stock2Shop's fields.

Data only: no I/O, no third-party library. Start with :mod:`engine.model.fields`.
"""
