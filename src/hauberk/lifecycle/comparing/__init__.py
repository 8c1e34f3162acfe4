"""Two models on the same rows: paired tests and intervals, for shares (`paired`) and for gaps between groups (`gaps`)."""
