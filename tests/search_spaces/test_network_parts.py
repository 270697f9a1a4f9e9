"""The model contract over all stems, contexts, decoders, heads and second branches that are listed."""

import json
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import (
    Architecture,
    TemporalSite,
)
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.contexts import CONTEXTS
from search_spaces.decoders import DECODERS
from search_spaces.detail_fusions import DETAIL_FUSIONS
from search_spaces.errors import InputError
from search_spaces.exchanges import EXCHANGES
from search_spaces.network import VideoSegmenter, build
from search_spaces.presets import PRESETS
from search_spaces.resizing import logits_hw
from search_spaces.stems import STEMS
from search_spaces.trace import num_macs, op_calls
from tests.search_spaces.network_kinds import BASE, KINDS

TOLERANCE = 1e-4
NUM_CLASSES = 5


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _with_cells(architecture: Architecture) -> Architecture:
    """A memory on the bottleneck, on the last skip or the decoder feature, and on the scores."""
    spec = architecture.video
    last = spec.placements[-3]
    places = ("bottleneck", last if last.startswith("skip") else "decoder", "logits")
    return Architecture(replace(spec, temporal=tuple(TemporalSite(place, ConvGRUSpec(1)) for place in places)))


def _built(architecture: Architecture) -> VideoSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build(architecture, NUM_CLASSES)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("name", sorted(KINDS))
class TestEveryKind:
    @pytest.mark.parametrize("size_hw", [(32, 32), (37, 51)])
    def test_a_clip_equals_its_frames_enlarged(self, name: str, size_hw: tuple[int, int]) -> None:
        model = _built(_with_cells(KINDS[name]))
        clip = torch.rand(1, 3, 3, *size_hw, generator=_generator())
        with torch.no_grad():
            whole, carried = model.roll(clip, model.initial_state(1, *size_hw))
            state = model.initial_state(1, *size_hw)
            for t in range(3):
                logits, following = model.step(clip[:, t], state)
                assert tuple(logits.shape[-2:]) == logits_hw(*size_hw, model.spec)
                assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]
                state = following
                assert (model.upsample(logits, *size_hw) - whole[:, t]).abs().max() < TOLERANCE
        assert whole.shape == (1, 3, NUM_CLASSES, *size_hw)
        assert all((one - other).abs().max() < TOLERANCE for one, other in zip(state, carried, strict=True))

    def test_every_parameter_learns(self, name: str) -> None:
        model = _built(KINDS[name]).train()
        model(torch.rand(2, 2, 3, 45, 61, generator=_generator())).square().mean().backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert torch.isfinite(parameter.grad).all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    @pytest.mark.parametrize("scale", ["3/4", "1/2"])
    @pytest.mark.parametrize("size_hw", [(32, 32), (33, 95)])
    def test_the_shapes_promised_are_those_returned(self, name: str, scale: str, size_hw: tuple[int, int]) -> None:
        spec = replace(_with_cells(KINDS[name]).video, input_scale=scale)  # type: ignore[arg-type]
        with torch.device("meta"):
            model = build(Architecture(spec), NUM_CLASSES).eval()
            state = model.initial_state(1, *size_hw)
            logits, following = model.step(torch.empty(1, 3, *size_hw), state)
        assert tuple(logits.shape) == (1, NUM_CLASSES, *logits_hw(*size_hw, spec))
        assert [tensor.shape for tensor in following] == [tensor.shape for tensor in state]

    def test_macs_agree_with_fvcore(self, name: str) -> None:
        import warnings

        from fvcore.nn import FlopCountAnalysis

        size_hw = (60, 84)
        model = _built(KINDS[name])

        class Step(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, frame_BCHW: Tensor) -> Tensor:
                return self.model.step(frame_BCHW, ())[0]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            analysis = FlopCountAnalysis(Step(), torch.rand(1, 3, *size_hw))
            analysis.unsupported_ops_warnings(False)
            theirs = analysis.by_operator()["conv"]
        calls = op_calls(KINDS[name], size_hw, NUM_CLASSES)
        assert sum(call.macs for call in calls if call.kind == "conv") == theirs
        compared = name.startswith("exchange-pixel_attention")  # products and their sums are no convolutions
        assert (num_macs(KINDS[name], size_hw, NUM_CLASSES) == theirs) == (not compared)

    def test_the_record_survives_json(self, name: str) -> None:
        again = Architecture.from_json(KINDS[name].to_json())
        assert again == KINDS[name]
        assert again.key == KINDS[name].key


def test_every_kind_is_another_network() -> None:
    """But the same one met from three sides: the base."""
    same = {"stem-conv-2-3", "context-none", "decoder-skip_add-4-full"}
    keys = {name: architecture.key for name, architecture in KINDS.items()}
    assert {keys[name] for name in same} == {Architecture(BASE).key}
    assert len(set(keys.values())) == len(KINDS) - 2
    for kind in STEMS:
        assert any(name.startswith((f"stem-{kind}-", f"frame-{kind}-")) for name in KINDS)
    for kind in (*CONTEXTS, *DECODERS, *DETAIL_FUSIONS, *EXCHANGES):
        assert any(kind in name.split("-") for name in KINDS)


class TestLogits:
    @pytest.mark.parametrize("kind", sorted(DECODERS))
    def test_the_enlarging_left_to_the_caller_is_the_networks_own(self, kind: str) -> None:
        full, head = (_built(KINDS[f"decoder-{kind}-4-{logits}"]) for logits in ("full", "head"))
        frame = torch.rand(2, 3, 37, 51, generator=_generator())
        with torch.no_grad():
            small, _ = head.step(frame, ())
            large, _ = full.step(frame, ())
        assert small.shape[-2:] == logits_hw(37, 51, head.spec) != (37, 51)
        assert torch.equal(head.upsample(small, 37, 51), large)
        assert full.upsample(large, 37, 51) is large

    def test_what_is_not_enlarged_is_not_counted(self) -> None:
        full, head = (op_calls(KINDS[f"decoder-skip_add-4-{logits}"], (64, 96), 5) for logits in ("full", "head"))
        assert [call.kind for call in full].count("resize") == [call.kind for call in head].count("resize") + 1


def test_a_record_from_before_these_choices_is_read_as_the_same_network() -> None:
    """What they did not say has the value that the network had."""
    architecture = PRESETS["plain_small"].architecture
    document = json.loads(architecture.to_json())
    for name in ("kind", "factor", "kernel"):
        del document["network"]["stem"][name]
    for name in ("auxiliary", "boundary"):
        del document["training"][name]
    for name in ("logits", "depth", "conv"):
        del document["network"]["decoder"][name]
    del document["network"]["detail"], document["network"]["context_channels"]
    for stage in document["network"]["stages"]:
        del stage["hidden"]
    assert Architecture.from_json(json.dumps(document)) == architecture


def test_a_detail_branch_from_before_these_choices_is_read_as_the_same_network() -> None:
    architecture = KINDS["detail-8-gate-bilinear"]
    document = json.loads(architecture.to_json())
    for name in ("stem", "stages", "exchange"):
        del document["network"]["detail"][name]
    assert Architecture.from_json(json.dumps(document)) == architecture


def test_a_foreign_branch_is_refused_by_name() -> None:
    document = json.loads(KINDS["detail-8-add-bilinear"].to_json())
    document["network"]["detail"]["stride"] = 16
    with pytest.raises(InputError, match=r"detail.stride: given 16"):
        Architecture.from_json(json.dumps(document))
