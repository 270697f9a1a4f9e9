"""Sub-spaces and fixed networks: they ask what they promise, and every member builds, streams and trains."""

import random
from dataclasses import replace

import pytest
import torch

from search_spaces.architecture import Architecture, PointSpec
from search_spaces.cells.dynamic_spec import DynamicCellSpec
from search_spaces.decisions import Choose, count, enumerate_all, sample
from search_spaces.dynamic_cells import DynamicCells
from search_spaces.errors import InputError
from search_spaces.likeness import most_like
from search_spaces.network import build
from search_spaces.presets import PRESETS
from search_spaces.restricted import Restricted
from search_spaces.spaces import SPACES, make_space, size_in_words

SIZE_HW = (33, 47)
BUILDABLE = (*sorted(set(SPACES) - {"toy"}), "dynamic_cells:fast_scnn_like")


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDABLE)
def test_fifty_members_stream_and_train_a_step(name: str) -> None:
    space, rng = make_space(name), random.Random(11)
    for _ in range(50):
        architecture = sample(space, rng).architecture
        torch.manual_seed(0)
        model = build(architecture, 4).eval()
        clip = torch.rand(2, 3, 3, *SIZE_HW, generator=torch.Generator().manual_seed(1))
        state = model.initial_state(2, *SIZE_HW)
        with torch.no_grad():
            whole = model(clip)
            for t in range(3):
                logits, state = model.step(clip[:, t], state, t)
                logits = model.upsample(logits, *SIZE_HW)
                assert (logits - whole[:, t]).abs().max() < 1e-4, architecture.to_json()
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), 0.01)
        loss = model(clip).square().mean()
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss), architecture.to_json()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters()), architecture.to_json()


def test_the_encoder_space_has_no_temporal_cell_and_asks_for_none() -> None:
    rng = random.Random(0)
    for _ in range(50):
        point = sample(make_space("video_cells:encoder"), rng)
        assert point.architecture.video.temporal == ()
        assert point.architecture.video.schedule is None
        assert not any(name.startswith("temporal") for name in point.genotype)


@pytest.mark.parametrize("name", ["video_cells:temporal", "dynamic_cells", "dynamic_cells:lraspp_like"])
def test_spaces_over_a_fixed_network_change_nothing_of_it(name: str) -> None:
    fixed = PRESETS["lraspp_like" if "lraspp" in name else "plain_small"].architecture.video
    rng = random.Random(0)
    for _ in range(50):
        point = sample(make_space(name), rng)
        assert replace(point.architecture.video, temporal=()) == fixed
        if name.startswith("dynamic"):
            (site,) = point.architecture.video.temporal
            assert isinstance(site.cell, DynamicCellSpec)


def test_a_member_of_the_small_space_is_one_of_the_full_space() -> None:
    """Most of the full space's questions are only answered beforehand."""
    small, full = make_space("video_cells:small"), make_space("video_cells")
    for point in list(enumerate_all(small))[::97]:
        found = most_like(full, point.architecture)
        assert found.architecture == point.architecture
        assert len(point.genotype) < len(found.genotype) / 2


def test_the_small_space_can_be_enumerated_and_says_its_size() -> None:
    size = count(make_space("video_cells:small"), random.Random(0))
    assert size.exact
    assert 100 < size.genotypes <= 600
    assert size_in_words("video_cells:small") == f"{size.genotypes:.0f} points"
    assert size_in_words("toy") == "some 10^5 points"


def test_unknown_spaces_name_the_allowed() -> None:
    for name in ("video_cells:nope", "dynamic_cells:nope", "nope:plain_small", ""):
        with pytest.raises(InputError, match=r"is unknown; allowed: .*video_cells:small.*dynamic_cells:plain_small"):
            make_space(name)
    with pytest.raises(InputError, match=r"preset 'nope' is unknown"):
        sample(DynamicCells("nope"), random.Random(0))


class _Two:
    def decode(self, choose: Choose) -> Architecture:
        return Architecture(PointSpec((("a", choose("a", (1, 2, 3))), ("b", choose("b", (4, 5))))))


def test_restrictions_leave_what_they_say() -> None:
    def points(space: Restricted) -> list[object]:
        return [point.architecture.network for point in enumerate_all(space)]

    assert len(points(Restricted(_Two(), {}))) == 6
    assert points(Restricted(_Two(), {"a": (3, 1), "b": (5,)})) == [
        PointSpec((("a", 1), ("b", 5))),
        PointSpec((("a", 3), ("b", 5))),
    ]
    assert points(Restricted(_Two(), {"b": (5,)}, only_first=True)) == [PointSpec((("a", 1), ("b", 5)))]
    assert "b" not in sample(Restricted(_Two(), {"b": (5,)}), random.Random(0)).genotype
    with pytest.raises(ValueError, match=r"rule '\*' leaves \[5\], but 'a' offers \[1, 2, 3\]"):
        sample(Restricted(_Two(), {"*": (5,)}), random.Random(0))


class _Lopsided:
    """One answer in four goes on, six times; almost all points lie behind the rarest answers."""

    def decode(self, choose: Choose) -> Architecture:
        values = []
        for level in range(6):
            values.append((f"on{level}", choose(f"on{level}", (0, 0, 0, 1))))
            if not values[-1][1]:
                break
            values += [(f"{level}.{i}", choose(f"{level}.{i}", tuple(range(10)))) for i in range(3)]
        return Architecture(PointSpec(tuple(values)))


@pytest.mark.parametrize("seed", range(3))
def test_the_size_of_a_space_that_hides_behind_rare_answers_is_found(seed: int) -> None:
    true = 1.0
    for _ in range(6):
        true = 3.0 + 1000.0 * true
    found = count(_Lopsided(), random.Random(seed), limit=100, probes=2000)
    assert not found.exact
    assert true / 2 < found.genotypes < true * 2
