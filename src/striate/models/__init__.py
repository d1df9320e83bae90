"""The named networks, one system a file; each reads like its paper's table."""
