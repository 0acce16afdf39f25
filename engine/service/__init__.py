"""Have the operating system start ``s2s``: the agent as a service that stays up, or ``run --all`` on a schedule.

A :class:`~engine.service.definition.Service` goes in; steps come out, which write files and call the system's own
program, and which ``--print`` shows instead of performing. What is not this workspace's is never changed. Each of
systemd, cron, launchd and Windows Task Scheduler has a module. Start with :mod:`engine.service.schedulers`.
"""
