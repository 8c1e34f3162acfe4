"""The main job, a module for each stage in order: `data`, `poison`, `lineage`, `models`, `attack`, `decision`.

`job` holds what the stages share; `running` runs a control as a step; `protect` is the job.
"""
