"""What stands in a network once, with its origin: stems, scales, contexts, attention, decoders, heads. Builds nothing.

Sources are of the idea; what differs here is said where the part is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PartKind = Literal[
    "stem", "input scale", "attention", "context", "detail", "exchange", "decoder", "fusion", "logits", "training head",
]  # fmt: skip


TRAINS = "dropped before a network is exported or timed"


@dataclass(frozen=True, slots=True)
class PartEntry:
    """What a part is, its option's name, where it was published, and the survey's section ("" where it has none).

    `free` says why a part costs nothing when a frame is segmented; "" where it does.
    """

    kind: PartKind
    option: str
    source: str
    survey: str
    free: str = ""


PARTS: Mapping[str, PartEntry] = {
    "conv_stem": PartEntry("stem", "conv", "Howard et al. 2017, arXiv:1704.04861", "5.4.1"),
    "space_to_depth_stem": PartEntry("stem", "space_to_depth", "Ridnik et al. 2020, TResNet, arXiv:2003.13630", ""),
    "conv_pool_stem": PartEntry("stem", "conv_pool", "Paszke et al. 2016, ENet, arXiv:1606.02147", "5.4.1"),
    "shrunk_stem": PartEntry("stem", "shrunk", "Poudel et al. 2018, ContextNet, arXiv:1805.04554", "5.1"),
    "input_scale_3/4": PartEntry("input scale", "3/4", "Original", "5.1"),
    "input_scale_1/2": PartEntry("input scale", "1/2", "Poudel et al. 2018, ContextNet, arXiv:1805.04554", "5.1"),
    "squeeze_excitation": PartEntry("attention", "squeeze_excitation", "Hu et al. 2018, arXiv:1709.01507", "4.4.1"),
    "spatial_attention": PartEntry("attention", "spatial", "Woo et al. 2018, CBAM, arXiv:1807.06521", "4.4.1"),
    "axial_attention": PartEntry("attention", "axial", "Wan et al. 2023, SeaFormer, arXiv:2301.13156", ""),
    "expanded_squeeze_excitation": PartEntry(
        "attention", "expanded_squeeze_excitation", "Howard et al. 2019, arXiv:1905.02244", "4.4.1"
    ),
    "global_pool": PartEntry("context", "global_pool", "Howard et al. 2019, arXiv:1905.02244", "5.1"),
    "pyramid_pooling": PartEntry("context", "pyramid_pooling", "Zhao et al. 2017, PSPNet, arXiv:1612.01105", "5.1"),
    "dilated_pyramid": PartEntry("context", "dilated_pyramid", "Chen et al. 2017, arXiv:1706.05587", "5.4.1"),
    "deep_aggregation": PartEntry("context", "deep_aggregation", "Hong et al. 2021, DDRNet, arXiv:2101.06085", "5.1"),
    "detail_add": PartEntry("detail", "add", "Hong et al. 2021, DDRNet, arXiv:2101.06085", "5.1"),
    "detail_gate": PartEntry("detail", "gate", "Xu et al. 2022, PIDNet, arXiv:2206.02066", "5.1"),
    "detail_feature_fusion": PartEntry("detail", "feature_fusion", "Poudel et al. 2018, arXiv:1805.04554", "5.1"),
    "detail_guided_aggregation": PartEntry(
        "detail", "guided_aggregation", "Yu et al. 2020, BiSeNetV2, arXiv:2004.02147", "5.1"
    ),
    "detail_modulate": PartEntry("detail", "modulate", "Wan et al. 2023, SeaFormer, arXiv:2301.13156", "5.1"),
    "detail_sum": PartEntry("detail", "sum", "Hong et al. 2021, DDRNet, arXiv:2101.06085", "5.1"),
    "exchange_bilateral": PartEntry("exchange", "bilateral", "Hong et al. 2021, DDRNet, arXiv:2101.06085", "5.1"),
    "exchange_pixel_attention": PartEntry(
        "exchange", "pixel_attention", "Xu et al. 2022, PIDNet, arXiv:2206.02066", "5.1"
    ),
    "bilinear_decoder": PartEntry("decoder", "bilinear", "Long et al. 2015, FCN-32s, arXiv:1411.4038", "5.2"),
    "skip_add_decoder": PartEntry("decoder", "skip_add", "Long et al. 2015, FCN-8s, arXiv:1411.4038", "5.2"),
    "unet_decoder": PartEntry("decoder", "unet", "Ronneberger et al. 2015, arXiv:1505.04597", "5.2"),
    "guided_decoder": PartEntry("decoder", "guided", "Wu et al. 2018, arXiv:1803.05619", "5.2"),
    "plain_decoder": PartEntry("decoder", "plain", "Poudel et al. 2019, Fast-SCNN, arXiv:1902.04502", "5.2"),
    "gated_skip_decoder": PartEntry("decoder", "gated_skip", "Howard et al. 2019, LR-ASPP, arXiv:1905.02244", "5.2"),
    "upsampling_bottleneck_decoder": PartEntry(
        "decoder", "upsampling_bottleneck", "Paszke et al. 2016, ENet, arXiv:1606.02147", "5.2"
    ),
    "fusion_replace": PartEntry("fusion", "replace", "Original", "4.2"),
    "fusion_add": PartEntry("fusion", "add", "He et al. 2016, arXiv:1512.03385", "5.2"),
    "fusion_concat": PartEntry("fusion", "concat", "Ronneberger et al. 2015, arXiv:1505.04597", "5.2"),
    "fusion_gate": PartEntry("fusion", "gate", "Srivastava et al. 2015, arXiv:1505.00387", "4.2"),
    "full_logits": PartEntry("logits", "full", "Long et al. 2015, arXiv:1411.4038", "5.2"),
    "head_logits": PartEntry("logits", "head", "Original", "", "left to whoever takes the logits"),
    "auxiliary_head": PartEntry("training head", "auxiliary", "Zhao et al. 2017, arXiv:1612.01105", "4.8", TRAINS),
    "boundary_head": PartEntry("training head", "boundary", "Xie and Tu 2015, HED, arXiv:1504.06375", "4.8", TRAINS),
}
