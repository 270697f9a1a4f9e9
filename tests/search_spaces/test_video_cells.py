"""The full space: every answer matters, equal networks have one key, what a search records stays readable."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from search_spaces.architecture import Architecture, NetworkSpec
from search_spaces.decisions import Decoded, decode, sample
from search_spaces.errors import InputError
from search_spaces.network import build
from search_spaces.presets import PRESETS
from search_spaces.trace import op_calls, state_bytes
from search_spaces.video_cells import VideoCells

SPACE = VideoCells()


def _variants(point: Decoded, rng: random.Random) -> dict[tuple[str, int], Architecture]:
    """For every question and every other option: the architecture with that one answer changed."""
    found = {}
    for name, num_options in point.num_options.items():
        for option in set(range(num_options)) - {point.genotype[name]}:
            answers = {**point.genotype, name: option}
            found[name, option] = decode(
                SPACE, lambda asked, count, a=answers: a[asked] if a.get(asked, count) < count else rng.randrange(count)
            ).architecture
    return found


@pytest.mark.parametrize("seed", range(25))
def test_changing_any_single_answer_changes_the_network(seed: int) -> None:
    """No question is asked in vain; what only training hears of changes the key but not the network's."""
    rng = random.Random(seed)
    point = sample(SPACE, rng)
    variants = _variants(point, rng)
    for (name, _), architecture in variants.items():
        assert architecture.key != point.architecture.key, name
        same_network = architecture.network_key == point.architecture.network_key
        assert same_network == name.startswith("training."), name


def _computed(architecture: Architecture) -> tuple[object, ...]:
    """What a step runs and carries: a shift moves channels by views alone, which shows in its state."""
    size_hw = (96, 128)
    phases = range(architecture.video.num_phases)
    return [op_calls(architecture, size_hw, 5, phase) for phase in phases], state_bytes(architecture, size_hw, 5)


@torch.no_grad()
def _outputs(architecture: Architecture) -> Tensor:
    """Of equal weights, where these have equal shapes."""
    torch.manual_seed(0)
    model = build(architecture, 5).eval()
    num_frames = 2 * model.num_phases + 1
    logits: Tensor = model(torch.rand(1, num_frames, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    return logits


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 3, 4, 14])
def test_changing_any_single_answer_changes_what_is_computed(seed: int) -> None:
    """As above, on the operations that a step runs: a key that differs must stand for another network."""
    rng = random.Random(seed)
    point = sample(SPACE, rng)
    computed = _computed(point.architecture)
    first = {name: architecture for (name, _), architecture in reversed(_variants(point, rng).items())}
    assert len(first) == len(point.genotype)
    for name, architecture in first.items():
        same = _computed(architecture) == computed
        if same and name.endswith(".inputs"):  # other wires between the same operations
            assert not torch.equal(_outputs(architecture), _outputs(point.architecture)), name
        else:
            assert same == name.startswith("training."), name


def test_the_sampled_questions_cover_the_space() -> None:
    """Else the test above would prove little."""
    asked = Counter(name for seed in range(120) for name in sample(SPACE, random.Random(seed)).genotype)
    conditional = {"stage0.expansion", "stage3.dilation", "decoder.skip_stride", "temporal0.fold", "temporal0.kernel",
                   "temporal0.factorization", "temporal0.share", "temporal1.fusion",
                   "schedule.period", "schedule.trigger", "schedule.periods", "schedule.join", "schedule.num_paths",
                   "stem.kernel", "detail.stride", "detail.fusion", "decoder.logits"}  # fmt: skip
    assert conditional <= set(asked)


def test_no_class_scores_come_from_a_feature_too_coarse_for_the_frame() -> None:
    """experiments/space.md: random members of equal latency are two points worse where they do."""
    found = set()
    for seed in range(300):
        spec = sample(SPACE, random.Random(seed)).architecture.video
        found.add(spec.head_stride / Fraction(spec.input_scale))
    assert found == {4, Fraction(16, 3), 8, Fraction(32, 3)}


def _answers(**depths: int) -> Mapping[str, int]:
    """Stride 8 and stages 1, 2 and 3 that differ in depth alone: 48 channels, all else the first option."""
    same = {"stage1.channels": 2, "stage2.channels": 1, "stage3.channels": 0, "network.num_stages": 1}
    return {**same, **{f"{name}.depth": depth - 1 for name, depth in depths.items()}}


def _at(answers: Mapping[str, int]) -> Architecture:
    return decode(SPACE, lambda name, _: answers.get(name, 0)).architecture


def test_one_network_by_several_genotypes_has_one_key() -> None:
    """Three stages of equal blocks are one stage, however its depth is divided."""
    points = [_at(_answers(stage1=a, stage2=b, stage3=c)) for a, b, c in ((1, 1, 3), (1, 3, 1), (3, 1, 1), (2, 2, 1))]
    three = _at({**_answers(stage1=3, stage2=2), "network.num_stages": 0})
    assert len({architecture.key for architecture in (*points, three)}) == 1
    assert _at(_answers(stage1=1, stage2=1, stage3=2)).key != three.key


def test_joining_stages_builds_what_they_were() -> None:
    joined = _at(_answers(stage1=1, stage2=2, stage3=1))
    first, second = joined.video.stages
    assert second.depth == 4
    apart = (first, *(replace(second, stride=stride, depth=depth) for stride, depth in ((2, 1), (1, 2), (1, 1))))
    outputs = []
    for stages in (joined.video.stages, apart):
        torch.manual_seed(0)
        model = build(Architecture(replace(joined.video, stages=stages)), 3).eval()
        with torch.no_grad():
            outputs.append(model(torch.rand(1, 1, 3, 37, 45, generator=torch.Generator().manual_seed(1))))
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            '"temporal":[]',
            '"temporal":[{"cell":{"kind":"conv_gru","kernel":1,"factorization":"depthwise_separable"},'
            '"placement":"decoder"}]',
            r"factorization 'depthwise_separable' given; a kernel of 1 is 'dense'",
        ),
        ('"depthwise_separable"', '"grouped"', r"stages.0: grouped from 15 to 32 channels given; both must be even"),
    ],
)
def test_a_second_spelling_of_one_network_is_refused(old: str, new: str, message: str) -> None:
    base = PRESETS["plain_small"].architecture
    text = Architecture(replace(base.video, stem=replace(base.video.stem, channels=15))).to_json()
    assert old in text
    with pytest.raises(InputError, match=message):
        Architecture.from_json(text.replace(old, new))


def test_every_member_is_a_readable_video_network() -> None:
    rng = random.Random(5)
    for _ in range(200):
        network = sample(SPACE, rng).architecture.network
        assert isinstance(network, NetworkSpec)
        assert network.strides[-1] in (8, 16)
