"""Faults on purpose: a log of known truth, a seeded plan of damage, and an audit of every count.

`plan` decides what is struck and when, `traffic` what is sent and what the state must say of it in
the end; both are pure. `victims` are the processes, `strikes` the damage, `recovery` how long it
is felt, `verdict` the audit. `worker` is the product's worker with two doors for the chaos: bugs
that strike when they are told to, and protections that can be taken away, which shows that the
audit can fail.
"""
