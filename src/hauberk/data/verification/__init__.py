"""Verification: tables of any size against a schema file that people read, and against a reference.

`opening` finds and opens files as one lazy table, `schema` is what a schema file may say, `rules` turns it into
expressions, `verifying` counts what breaks them in one streaming pass, `splitting` writes the broken rows aside,
`drift` compares with a reference, `profiling` describes, and `inferring` proposes a schema file to be edited.
"""
