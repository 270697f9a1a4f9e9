"""Architectures as records: JSON, keys, bounds."""

import json
import random
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest

from search_spaces.architecture import Architecture, Placement, PointSpec, TemporalSite, TrainingSpec
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.decisions import sample
from search_spaces.errors import InputError
from search_spaces.presets import PRESETS
from search_spaces.spaces import SPACES, make_space

PLAIN = PRESETS["plain_small"].architecture


@pytest.mark.parametrize("name", sorted(SPACES))
def test_json_round_trip_keeps_value_and_key(name: str) -> None:
    rng = random.Random(3)
    for _ in range(40):
        architecture = sample(make_space(name), rng).architecture
        again = Architecture.from_json(architecture.to_json())
        assert again == architecture
        assert hash(again) == hash(architecture)
        assert again.key == architecture.key


def test_the_key_is_the_same_in_another_process() -> None:
    code = (
        "import sys; from search_spaces.architecture import Architecture as A; print(A.from_json(sys.stdin.read()).key)"
    )
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=PLAIN.to_json(),
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert done.stdout.strip() == PLAIN.key


def test_training_changes_the_key_but_not_the_networks() -> None:
    trained = replace(PLAIN, training=TrainingSpec(5.0))
    assert trained.key != PLAIN.key
    assert trained.network_key == PLAIN.network_key


def test_fields_cannot_be_assigned() -> None:
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        PLAIN.training = TrainingSpec(1.0)  # type: ignore[misc]


def _edited(path: list[str | int], value: object) -> str:
    document = json.loads(PLAIN.to_json())
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["schema"], 2, r"field schema: given 2"),
        (["network", "stem", "channels"], 10**6, r"stem.channels: given 1000000; .*1024"),
        (["network", "stem", "channels"], 16.5, r"stem.channels: given 16.5"),
        (["network", "stem", "channels"], True, r"stem.channels: given True"),
        (["network", "stages", 0, "depth"], 0, r"stages.0.depth: given 0"),
        (["network", "stages", 0, "block"], "__class__", r"stages.0.block: given '__class__'"),
        (["network", "stages"], [], r"network.video.stages: given \[\]"),
        (["network", "stages", 0, "expansion"], 4, r"expansion 4 given; only inverted_residual and universal_inv"),
        (["network", "decoder", "skip_stride"], 3, r"skip_stride: given 3"),
        (["network", "extra"], 1, r"extra"),
        (["network", "kind"], "other", r"kind"),
        (["training", "temporal_weight"], float("nan"), r"temporal_weight"),
        (["training", "temporal_weight"], -1.0, r"temporal_weight: given -1"),
    ],
)
def test_what_violates_the_bounds_is_refused_by_name(path: list[str | int], value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Architecture.from_json(_edited(path, value), "given.json")


def test_a_network_without_its_kind_is_told_what_is_missing() -> None:
    with pytest.raises(InputError, match=r"field network: given .*; its member 'kind' is missing"):
        Architecture.from_json('{"network": {}}', "given.json")


@pytest.mark.parametrize("text", ["", "{", "null", "[1]", "[" * 100_000, '{"schema": ' + "9" * 5000 + "}", "\x00"])
def test_malformed_documents_are_refused_naming_the_source(text: str) -> None:
    with pytest.raises(InputError, match=r"^given.json: "):
        Architecture.from_json(text, "given.json")


def test_too_deep_a_stride_is_refused() -> None:
    stages = [json.loads(PLAIN.to_json())["network"]["stages"][0] | {"stride": 2}] * 6
    document = json.loads(_edited(["network", "stages"], stages))
    document["network"]["decoder"] |= {"kind": "bilinear"}
    with pytest.raises(InputError, match=r"output stride 128 given, at most 64"):
        Architecture.from_json(json.dumps(document))


def test_a_recorded_point_cannot_be_built() -> None:
    with pytest.raises(InputError, match="cannot be built"):
        _ = Architecture(PointSpec((("a", 1),))).video


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (("skip8",), r"temporal.placement 'skip8' given; this network has"),
        (("stage6",), r"temporal.placement 'stage6' given"),
        (("decoder", "bottleneck"), r"list them in the order \['stage0'"),
        (("decoder", "decoder"), r"one cell a placement allowed"),
    ],
)
def test_a_cell_stands_where_the_network_has_a_place_in_the_order_of_the_frame(
    places: tuple[Placement, ...], message: str
) -> None:
    sites = tuple(TemporalSite(place, ConvGRUSpec()) for place in places)
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["plain_small"].architecture.video, temporal=sites)
