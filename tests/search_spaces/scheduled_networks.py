"""Small networks with every schedule that is listed, for the tests that run over them."""

from collections.abc import Mapping
from dataclasses import replace

from search_spaces.architecture import Architecture, DecoderSpec, DetailSpec, NetworkSpec, TemporalSite
from search_spaces.cells.specs import ConvGRUSpec
from search_spaces.schedule_questions import JOINS, KEY_PERIODS, PROPAGATIONS
from search_spaces.schedule_rules import allowed_paths, allowed_periods
from search_spaces.schedule_spec import ClockworkSpec, DistributedSpec, KeyframesSpec
from tests.search_spaces.network_kinds import BASE

BASES: Mapping[str, NetworkSpec] = {
    "skip_add": BASE,
    "unet": replace(BASE, decoder=DecoderSpec("unet", 16, 2, "relu", "head"), input_scale="3/4"),
    "detail": replace(BASE, detail=DetailSpec(12, 1), decoder=DecoderSpec("bilinear", 16), context="global_pool"),
}


def _scheduled() -> Mapping[str, Architecture]:
    found = {}
    for name, spec in BASES.items():
        for periods in allowed_periods(spec):
            clock = ClockworkSpec(periods)
            found[f"{name}-clockwork-{'-'.join(map(str, periods))}"] = replace(spec, schedule=clock)
        for propagate in PROPAGATIONS:
            period = KEY_PERIODS[1 if propagate == "copy" else 0]
            found[f"{name}-keyframes-{period}-{propagate}"] = replace(spec, schedule=KeyframesSpec(period, propagate))
            learned = KeyframesSpec(period, propagate, "learned")
            found[f"{name}-learned_keyframes-{period}-{propagate}"] = replace(spec, schedule=learned)
        for num_paths in allowed_paths(spec):
            for join in JOINS:
                paths = DistributedSpec(num_paths, join)
                found[f"{name}-distributed-{num_paths}-{join}"] = replace(spec, schedule=paths)
    return {name: Architecture(spec) for name, spec in found.items()}


SCHEDULED = _scheduled()


def with_cells(architecture: Architecture) -> Architecture:
    """A memory behind the first stage, on the bottleneck, and on the last skip or the decoder feature."""
    spec = architecture.video
    last = spec.placements[-3] if spec.skip_strides else "decoder"
    sites = (
        TemporalSite("stage0", ConvGRUSpec(1)),
        TemporalSite("bottleneck", ConvGRUSpec(1)),
        TemporalSite(last, ConvGRUSpec(1), "add"),
    )
    return Architecture(replace(spec, temporal=sites))
