"""The quickstart search on CamVid, as a recipe; figures in camvid.md.

Usage: vidseg-nas search experiments/camvid.py:small --engine ray --workers 2
"""

from dataclasses import replace

from nas.recipe import Recipe
from nas.recipes import quickstart

DATA = "camvid:../shared/data/camvid_small"


def small() -> Recipe:
    """What `vidseg-nas search quickstart --data DATA --workers 2 --trials 16` resolves to."""
    return replace(quickstart(), data=DATA, trials=16, slots=2)


def signal() -> Recipe:
    """The search that signal.md sets beside known designs: 32 trials at the size of its trainings."""
    return replace(small(), trials=32, size_hw=(120, 160))
