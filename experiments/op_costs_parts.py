"""What the cost table has a row for: every member of the registries, as a module to time. Times nothing.

Legend: B batch, C channels, H/W pixels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from torch import Tensor, nn

from experiments.op_costs_harness import CHANNELS, FRAME, NOTHING, Part
from experiments.op_costs_network import network_parts
from search_spaces.activations import ACTIVATIONS, GATES
from search_spaces.architecture import ConvSpec, StageSpec
from search_spaces.cells.registry import CELLS, build_cell
from search_spaces.ops.attention import ATTENTIONS, attention
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.dense import conv_bn
from search_spaces.ops.registry import CONVS
from search_spaces.stage_questions import BLOCKS as ASKED_BLOCKS
from search_spaces.stage_questions import ask_stage
from search_spaces.temporal_questions import CELL_QUESTIONS

CONV_FORMS: Mapping[str, tuple[int, int, int]] = {
    "3x3": (3, 1, 1), "5x5": (5, 1, 1), "3x3 dilation 2": (3, 1, 2), "3x3 stride 2": (3, 2, 1),
}  # fmt: skip
"""Kernel, stride, dilation."""

SHARED = ("depth", "channels", "activation", "attention", "dilation")
"""Questions of a stage that a block is not varied in: they have rows of their own, or only multiply it."""

T = TypeVar("T")


UNIT = Part("base", "unit without activation", "", lambda: _unit([]), NOTHING)


def parts() -> tuple[Part, ...]:
    """Every row; a new member of a registry is one by being listed."""
    found = (
        NOTHING,
        FRAME,
        UNIT,
        *_convolutions(),
        *_blocks(),
        *_activations(),
        *_attentions(),
        *network_parts(),
        *_cells(),
    )
    keys = [part.key for part in found]
    assert len(set(keys)) == len(keys)
    return found


def _convolutions() -> Iterator[Part]:
    """As a plain block of one unit: with batch norm and ReLU."""
    for name in CONVS:
        for form in CONV_FORMS:
            stage = _plain(name, form)
            if stage is not None:
                yield Part("convolution", name, form, _block(stage), NOTHING)


def _plain(factorization: Any, form: str) -> StageSpec | None:
    """None where the record says that a factorization has no such form."""
    kernel, stride, dilation = (cast("Any", number) for number in CONV_FORMS[form])
    try:
        return StageSpec("plain", 1, CHANNELS, stride, ConvSpec(factorization, kernel, dilation))
    except ValueError:
        return None


def _blocks() -> Iterator[Part]:
    for name in BLOCKS:
        if name == "plain":  # its factorizations are the rows of convolutions
            yield Part("block", name, "", _block(StageSpec("plain", 1, CHANNELS, 1)), NOTHING)
        elif name not in ASKED_BLOCKS:
            # Only a change of size makes a pooled bottleneck more than a bottleneck.
            stage = StageSpec(name, 1, CHANNELS, 2 if name == "pooled_bottleneck" else 1)
            yield Part("block", name, f"stride {stage.stride}", _block(stage), NOTHING)
        else:
            wanted = {"block": name, "channels": CHANNELS, "depth": 1}
            for variant, stage in variants(lambda choose: ask_stage(choose, 2, 1), wanted, SHARED):
                assert (stage.block, stage.channels) == (name, CHANNELS)
                yield Part("block", name, variant, _block(stage), NOTHING)


def _block(stage: StageSpec) -> Callable[[], nn.Module]:
    return lambda: BLOCKS[stage.block](stage, CHANNELS, stage.stride)


def _activations() -> Iterator[Part]:
    """Between a pointwise and a depthwise convolution, where little hides what it costs."""
    for name, entry in ACTIVATIONS.items():
        yield Part("activation", name, "", lambda entry=entry: _unit([entry.make(CHANNELS)]), UNIT)
    for name in GATES:
        yield Part("gate", name, "", lambda name=name: _unit([_Gate(name)]), UNIT)


class _Gate(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.function = GATES[name].function

    def forward(self, feature_BCHW: Tensor) -> Tensor:
        return self.function(feature_BCHW)


def _unit(act: Sequence[nn.Module]) -> nn.Sequential:
    depthwise = (conv_bn(CHANNELS, CHANNELS, 3, groups=CHANNELS) for _ in range(2))
    return nn.Sequential(*next(depthwise), *conv_bn(CHANNELS, CHANNELS, 1), *act, *next(depthwise))


def _attentions() -> Iterator[Part]:
    for name in ATTENTIONS:
        yield Part("attention", name, "", lambda name=name: attention(name, CHANNELS)[0], NOTHING)


def _cells() -> Iterator[Part]:
    """As asked for; a cell that no question leads to has its default form alone."""
    for kind, entry in CELLS.items():
        ask = CELL_QUESTIONS.get(kind)
        forms = variants(lambda choose, ask=ask: ask(choose, "cell"), {}) if ask else [("", entry.spec())]
        for variant, spec in forms:
            yield Part("cell", kind, variant, lambda spec=spec: build_cell(spec, CHANNELS), NOTHING)


def variants(
    ask: Callable[[Any], T], wanted: Mapping[str, object], fixed: Sequence[str] = ()
) -> Iterator[tuple[str, T]]:
    """(what was answered otherwise, what came of it): all first options, then every other option by itself.

    Questions go by the last part of their name. Those in `wanted` have their answer, those in `fixed` keep the
    first option.
    """
    asked: dict[str, Sequence[object]] = {}

    def answered(answers: Mapping[str, object]) -> T:
        def choose(name: str, options: Sequence[object]) -> object:
            last = name.rsplit(".", 1)[-1]
            asked.setdefault(last, options)
            return answers[last] if answers.get(last) in options else options[0]

        return ask(choose)

    yield "", answered(wanted)
    for name, options in list(asked.items()):
        for option in options[1:] if name not in (*wanted, *fixed) else ():
            yield f"{name} {option}", answered({**wanted, name: option})
