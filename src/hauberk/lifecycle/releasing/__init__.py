"""Releasing: make a release, list the earlier ones, serve one of them again."""
