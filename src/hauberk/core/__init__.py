"""The lowest floor: shared types, the error tree, the registry, canonical bytes and progress.

Imports no other room of Hauberk and no array library. Start with `errors` for what can go wrong, `evidence` for what a
control returns, `threats` for what a project declares, `registry` for how an algorithm is added.
"""
