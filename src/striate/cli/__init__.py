"""The command line: one file a command, which parses, calls :mod:`striate.api` and prints."""
