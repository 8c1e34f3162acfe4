"""Lifecycle: the main job and what surrounds it.

`project` reads hauberk.toml, `init` writes one; `protect` runs the `stages` as `steps` in a `workshop`, which signs and
logs for all of them; `reporting` reads the ledger back and `report` renders it.
"""
