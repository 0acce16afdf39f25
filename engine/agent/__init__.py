"""Run many projects on one machine, in processes that stay warm.

Jobs go in, each named after its project; what became of each comes out as soon as it ends, in the order of ending.
What a job is, is the caller's matter. Start with :mod:`engine.agent.workers`.
"""
