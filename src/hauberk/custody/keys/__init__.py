"""Keys behind a port: `port` is what custody asks, each other file one holder, found by URI scheme."""
