"""Poisoned training rows: detect them, repair the data, and test the detection.

`detectors` holds one detector a file, `screening` runs all that fit the data and merges their scores into one ranked list,
`repair` quarantines or relabels flagged rows, `repair_files` writes the result, `drilling` poisons a copy of the data and
measures what the screening catches, and `drip` tests whether poison is spread thinly over many batches. `neighbours` and
`shapes` compute distances and features for them.
"""
