"""Starting: `hauberk init` looks at a data set and writes a project that runs."""
