"""A classifier slid over a larger picture: where, if anywhere, it sees each class."""
