"""Bring Stock2Shop in step with a view: products and customers.

A project goes in; the delta is sent to Stock2Shop, and what it acknowledged is recorded in the state. Every source row
is accounted for, and nothing that was not acknowledged is taken as published. Start with
:mod:`engine.sync.pipeline`.
"""
