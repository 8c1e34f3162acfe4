"""Data: from files that nobody has vouched for to arrays that are known, split and checked.

`loading` turns a `DataSpec` into a `Split` of two `Dataset`s; `formats` holds one reader a file format, each of which
checks what a file claims before it allocates; `tables`, `pixels` and `targets` give numbers their meaning;
`splitting` keeps groups on one side; `checks` measures (practice 1a); `inspection` looks at unknown files. Nothing
here unpickles.
"""
