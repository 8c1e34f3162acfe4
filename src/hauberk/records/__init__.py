"""Records: the one place that signs, logs, and reads evidence back.

`workshop` signs and logs for every control; `steps` runs work once and remembers it; `lineage` records what happened to
data; `erasure` proves that a key is gone; `view` and `last_run` read evidence back.
"""
