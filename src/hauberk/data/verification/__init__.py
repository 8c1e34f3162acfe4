"""Verification of tables of any size against a schema file that people read, and against a reference table.

`api` has the three verbs: `verify`, `infer` and `profile`. `places` and `opening` find files and open them as one lazy
table; `arrays` and `pictures` describe npz, idx and picture folders as tables. `schema` defines the schema file, `rules`
turns it into expressions, `verifying` counts the rows that break them in one streaming pass, and `splitting` writes these
rows to a file of their own. `sanity` has the rules without a schema, `drift` compares with a reference, `profiling`
describes a table, and `inferring` proposes a schema file for a person to edit.
"""
