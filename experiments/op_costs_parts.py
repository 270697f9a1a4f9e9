"""What the cost table has a row for: every member of the registries, as a module to time. Times nothing.

Legend: B batch, C channels, H/W pixels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from latency_tables.random_weights import randomized
from search_spaces.activations import ACTIVATIONS, GATES
from search_spaces.architecture import ConvSpec, StageSpec
from search_spaces.cells.base import State, TemporalCell
from search_spaces.cells.registry import CELLS, build_cell
from search_spaces.contexts import CONTEXTS
from search_spaces.ops.attention import ATTENTIONS, attention
from search_spaces.ops.blocks import BLOCKS
from search_spaces.ops.dense import conv_bn
from search_spaces.ops.registry import CONVS
from search_spaces.stage_questions import ask_stage
from search_spaces.temporal_questions import CELL_QUESTIONS
from search_spaces.trace import step_calls

CHANNELS = 64
SIZE_HW = (45, 60)
"""1/8 of 360 x 480, as in the tables this one confirms or corrects."""

SEED = 0
CONV_FORMS: Mapping[str, tuple[int, int, int]] = {
    "3x3": (3, 1, 1), "5x5": (5, 1, 1), "3x3 dilation 2": (3, 1, 2), "3x3 stride 2": (3, 2, 1),
}  # fmt: skip
"""Kernel, stride, dilation."""

SHARED = ("depth", "channels", "activation", "attention", "dilation")
"""Questions of a stage that a block is not varied in: they have rows of their own, or only multiply it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """A row: what it is of, its name and variant, how it is made for C channels, and the row that is not its own.

    What is timed stands between a convolution that lifts the frame to C channels and the output; the latency,
    multiply-accumulates and parameters of `base` are subtracted.
    """

    group: str
    name: str
    variant: str
    make: Callable[[], nn.Module | None]
    base: "Part | None"

    @property
    def key(self) -> str:
        """Names the row; no two parts share one."""
        return "/".join(filter(None, (self.group, self.name, self.variant)))


DENSE = "convolution/dense/3x3"
"""What all others are a ratio to."""

NOTHING = Part("base", "nothing", "", lambda: None, None)
UNIT = Part("base", "unit without activation", "", lambda: _unit([]), NOTHING)


class Streamed(nn.Module):
    """A part as a network of a video: frames [B,3,H,W] to features [B,C,H,W], with the part's state if it has one."""

    def __init__(self, part: nn.Module | None) -> None:
        super().__init__()
        self.lift = conv_bn(3, CHANNELS, 1)
        self.part = part

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The cell's; none for what is no cell."""
        return self.part.initial_state(batch, height, width) if isinstance(self.part, TemporalCell) else ()

    def step(self, frame_BCHW: Tensor, state: State) -> tuple[Tensor, State]:
        """(frame, state) -> (feature, next state)."""
        feature = self.lift(frame_BCHW)
        if isinstance(self.part, TemporalCell):
            return self.part.step(feature, state)
        return (feature if self.part is None else self.part(feature)), state


def streamed(part: Part) -> Streamed:
    """The part with seeded weights, in eval mode."""
    return randomized(lambda: Streamed(part.make()), seed=SEED, calibration_hw=SIZE_HW)


def counts(part: Part) -> dict[str, float]:
    """Millions of multiply-accumulates, thousands of parameters and of bytes of state, of the part alone."""
    own = _whole(part)
    rest = (0, 0, 0) if part.base is None else _whole(part.base)
    macs, parameters, state_bytes = (mine - others for mine, others in zip(own, rest, strict=True))
    return {"macs_m": macs / 1e6, "params_k": parameters / 1e3, "state_kb": state_bytes / 1e3}


def _whole(part: Part) -> tuple[int, int, int]:
    """Multiply-accumulates, parameters, bytes of state of all that is timed for a part."""
    with torch.device("meta"):
        model = Streamed(part.make()).eval()
        state = model.initial_state(1, *SIZE_HW)
    return (
        sum(call.macs for call in step_calls(model, SIZE_HW)),
        sum(parameter.numel() for parameter in model.parameters()),
        sum(tensor.numel() * tensor.element_size() for tensor in state),
    )


def parts() -> tuple[Part, ...]:
    """Every row; a new member of a registry is one by being listed."""
    found = (NOTHING, UNIT, *_convolutions(), *_blocks(), *_activations(), *_attentions(), *_contexts(), *_cells())
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
        if name != "plain":
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


def _contexts() -> Iterator[Part]:
    """Of a feature at stride 8, with ReLU."""
    for name, make in CONTEXTS.items():
        if name != "none":
            yield Part("context", name, "", lambda make=make: make(CHANNELS, 8, "relu"), NOTHING)


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
