"""Talk to Stock2Shop over HTTP: tokens, pace, retries, documents, receipts.

Rows go in, receipts come out, or a refusal for exactly the rows that are at fault. No answer is taken for a receipt
unless it is one. Start with :mod:`engine.stock2shop.client`.
"""
