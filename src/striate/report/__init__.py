"""The story of a run on one self-contained page."""

from striate.report.page import snippet, write
from striate.report.contents import Shown, Story

__all__ = ["Shown", "Story", "snippet", "write"]
