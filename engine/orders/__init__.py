"""Raise Stock2Shop's orders in the client's database, each exactly once.

Order documents go in, over HTTP, from Stock2Shop's queue or from a file; rows in the client's database and an answer to
Stock2Shop come out. The ledger remembers each order's state. Start with :mod:`engine.orders.pipeline`.
"""
