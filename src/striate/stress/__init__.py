"""Where a classifier breaks: what it answers when its pictures are moved, hidden, lit or damaged."""

from striate.stress.agreement import consistency, offsets
from striate.stress.chance import keys
from striate.stress.distortion import CORRUPTIONS, CURVES, Distortion
from striate.stress.measure import Curve, Curves, Point, sweep
from striate.stress.place import Places, places
from striate.stress.relative import Relative, mce

# No function has its module's name: importing that module would put it in the function's place.
__all__ = [
    "CORRUPTIONS",
    "CURVES",
    "Curve",
    "Curves",
    "Distortion",
    "Places",
    "Point",
    "Relative",
    "consistency",
    "keys",
    "mce",
    "offsets",
    "places",
    "sweep",
]
