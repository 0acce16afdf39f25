"""Notify people of what changed for the worse or the better, and once.

The statuses of projects go in; messages and pings come out, at a change alone. What people know of is kept beside the
states. No password and no personal data is in a message, and one that cannot be sent fails no run: it is sent later.
Start with :mod:`engine.notify.notify`.
"""
