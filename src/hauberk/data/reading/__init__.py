"""Reading untrusted files into typed arrays, split into a training and a test side.

`loading` turns a `DataSpec` into a `Split` of two `Dataset`s (`dataset`). `formats` has one reader a file format, each of
which checks claimed sizes (`limits`) before it allocates; `tables`, `pixels` and `targets` convert raw values (`raw`) to
numbers with a defined meaning, and `splitting` keeps groups on one side. `inspection` proposes how to read unknown files,
`onerow` reads a single row, and `rowdigests` hashes rows. Nothing here unpickles.
"""
