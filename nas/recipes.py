"""The recipes that come with the package. Knows nothing of how they are run."""

from collections.abc import Mapping

from nas.recipe import Recipe, RecipeFunction


def quickstart() -> Recipe:
    """A small search on `moving_shapes`: no data, no GPU, no Ray needed; minutes on two cores."""
    return Recipe(
        # Of the full space a random member may train for a minute; these take seconds.
        space="video_cells:small",
        trials=12,
        epochs=2,
        searcher="evolution",
        searcher_options={"population": 8},
        # Few frames are seen, so steps are small and many.
        training={"batch_frames": 8},
    )


def video() -> Recipe:
    """A search on video of one's own: give it `--data`, and `--start` a network to improve.

    What experiments/signal.md measured: five epochs in batches of four rank networks at 0.93 of what seeds allow;
    warp-flip tells temporal cells apart where mIoU cannot; small known designs are where to start from.
    """
    return Recipe(
        trials=48,
        epochs=5,
        searcher="evolution",
        searcher_options={"population": 16},
        objectives=("miou", "warp_flip", "latency_ms"),
        training={"batch_frames": 4},
        start=("preset:plain_small", "preset:fast_scnn_like", "preset:lraspp_like"),
    )


BUILT_IN: Mapping[str, RecipeFunction] = {"quickstart": quickstart, "video": video}
