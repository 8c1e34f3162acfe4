"""Room: custody."""
