"""A network on one page: its volumes as a picture, where its numbers sit, every row in a table."""

from striate.report.network.page import page, write

__all__ = ["page", "write"]
