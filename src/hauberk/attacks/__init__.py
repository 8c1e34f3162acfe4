"""The adversary, as pure functions of arrays and a model.

`model` says what an attack may ask, `budget` what it may change, `evasion` holds the attacks, one file each, and
`evaluation` measures a model under them.
"""
