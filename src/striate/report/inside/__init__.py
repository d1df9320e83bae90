"""The page that ``striate explain`` writes, and what the report of a training shows of it."""

from striate.report.inside.contents import Filters, Looked, Made, Map, Maps, Mistake, Network, Points, Unit
from striate.report.inside.folder import drawn
from striate.report.inside.page import write
from striate.report.inside.sections import section

__all__ = [
    "Filters",
    "Looked",
    "Made",
    "Map",
    "Maps",
    "Mistake",
    "Network",
    "Points",
    "Unit",
    "drawn",
    "section",
    "write",
]
