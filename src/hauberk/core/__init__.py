"""Ground floor: the nouns, the error tree, the registry, canonical bytes and progress.

Imports nothing of ours and no array library. Start with `errors` for what can go wrong, `evidence` for what a
control returns, `threats` for what a project declares, `registry` for how an algorithm is added.
"""
