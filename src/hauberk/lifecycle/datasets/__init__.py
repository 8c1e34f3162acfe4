"""Datasets: the jobs on data sets: import, audit, diff, prove, check."""
