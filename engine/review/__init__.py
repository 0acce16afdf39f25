"""Compare a mapping with what it was at a git reference: which fields and rows change.

Two versions of a project go in, a :class:`engine.review.model.Review` comes out, as text, Markdown or data. Start with
:mod:`engine.review.compare`.
"""
