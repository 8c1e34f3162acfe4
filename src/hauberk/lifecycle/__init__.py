"""Room: lifecycle."""
