"""Poison: find it, set it aside, rehearse it. `detectors` holds one detector a file; `screening` combines them."""
