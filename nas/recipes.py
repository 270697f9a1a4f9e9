"""The recipes that come with the package. Knows nothing of how they are run."""

from collections.abc import Mapping

from nas.recipe import Recipe, RecipeFunction


def quickstart() -> Recipe:
    """A small search on `moving_shapes`: no data, no GPU, no Ray needed; minutes on two cores."""
    return Recipe(
        trials=12,
        epochs=2,
        searcher="evolution",
        searcher_options={"population": 8},
        # Few frames are seen, so steps are small and many.
        training={"batch_frames": 8},
    )


BUILT_IN: Mapping[str, RecipeFunction] = {"quickstart": quickstart}
