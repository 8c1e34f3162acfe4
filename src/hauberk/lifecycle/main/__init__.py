"""The stages of the main job, in its order: `data`, `models`, `assault`, `decision`. `job` is what they share."""
