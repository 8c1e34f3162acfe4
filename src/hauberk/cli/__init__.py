"""The command line: one file a command, imported when it is called. `main` has the table of them and the exit codes."""
