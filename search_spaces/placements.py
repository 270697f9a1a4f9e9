"""The shape of a feature at each place where a temporal cell can stand. Knows nothing of modules."""

from search_spaces.network_spec import NetworkSpec, Placement


def place_shape(spec: NetworkSpec, num_classes: int, place: Placement) -> tuple[int, int]:
    """(channels, stride relative to the scaled input) of the feature at a placement of this network."""
    if place.startswith("stage"):
        index = int(place.removeprefix("stage"))
        return spec.stages[index].channels, spec.strides[index]
    if place.startswith("skip"):
        stride = int(place.removeprefix("skip"))
        source = spec.source_at(stride)
        return (spec.stem.channels if source == 0 else spec.stages[source - 1].channels), stride
    if place == "bottleneck":
        return spec.deep_channels, spec.strides[-1]
    if place == "decoder":
        return spec.decoder.channels, spec.fused_stride
    return num_classes, spec.head_stride
