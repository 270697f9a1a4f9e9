"""The commands that one would run next, ready to paste. Knows nothing of how they are shown."""

import shlex

from nas.result import Result
from search_spaces.architecture import NetworkSpec

EPOCHS_FACTOR = 10
"""A search trains briefly; a network that is chosen is worth this many times its epochs."""


def next_commands(result: Result) -> list[str]:
    """Extend the search; train, export and measure the best network of the front."""
    folder = str(result.folder) if result.folder else "DIR"
    recipe = result.recipe
    words = [["report", folder], ["resume", folder, "--trials", str(2 * recipe.trials)]]
    if result.front and isinstance(result.front[0].proposal.architecture.network, NetworkSpec):
        network = f"{folder}#{result.front[0].number}"
        epochs = str(EPOCHS_FACTOR * recipe.epochs)
        words += [
            ["train", network, "--data", recipe.data, "--epochs", epochs, "--out", "my-model"],
            ["export", "my-model"],
            ["measure", "my-model", "--device", recipe.target],
        ]
    return [shlex.join(["vidseg-nas", *command]) for command in words]
