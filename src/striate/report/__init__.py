"""The story of a run on one self-contained page."""

from striate.report.contents import Shown, Story
from striate.report.page import write

__all__ = ["Shown", "Story", "write"]
