"""A space with some of its questions answered beforehand, or with fewer options. Knows nothing of what is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from search_spaces.architecture import Architecture
from search_spaces.decisions import Choose, SearchSpace

T = TypeVar("T")

Rules = Mapping[str, Sequence[object]]
"""Pattern of decision names ("stage*.kernel", as of a shell) -> the options left; the first pattern that fits holds."""


@dataclass(frozen=True, slots=True)
class Restricted:
    """The same questions as `space`, those that `rules` name with the options that are left.

    A question with one option left is not asked. `only_first`: what no rule names takes its first option.
    """

    space: SearchSpace
    rules: Rules
    only_first: bool = False

    def decode(self, choose: Choose) -> Architecture:
        """Ask what is left. Raises ValueError where a rule leaves a question without an option."""
        return self.space.decode(restricted(choose, self.rules, only_first=self.only_first))


def restricted(choose: Choose, rules: Rules, *, only_first: bool = False) -> Choose:
    """`choose` for a space whose questions are restricted by `rules`; see `Restricted`."""

    def answer(name: str, options: Sequence[T]) -> T:
        pattern = next((rule for rule in rules if fnmatchcase(name, rule)), None)
        if pattern is None:
            return options[0] if only_first else choose(name, options)
        left = [option for option in options if option in rules[pattern]]
        if not left:
            raise ValueError(f"rule {pattern!r} leaves {list(rules[pattern])}, but {name!r} offers {list(options)}")
        return left[0] if len(left) == 1 else choose(name, left)

    return answer
