"""The story of a run on one self-contained page."""

from striate.report.contents import Shown, Story
from striate.report.page import snippet, write

__all__ = ["Shown", "Story", "snippet", "write"]
