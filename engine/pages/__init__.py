"""HTML pages: a mapping review that a client signs, and the site of all clients.

Models go in, one self-contained file a page comes out, which works without a network. Start with
:mod:`engine.pages.site`.
"""
