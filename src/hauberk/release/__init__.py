"""Release: a folder that proves itself offline. `bundle` writes it, `verification` proves it, `card` describes it."""
