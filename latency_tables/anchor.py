"""The anchor network as an ONNX file: fixed for ever, timed beside every candidate. Knows nothing of torch.

It shows drift and contention: what it does never changes, so what changes is the machine. Dense, depthwise
and pointwise convolutions and a resize, 61 million multiply-accumulates.
"""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from search_spaces.errors import MissingExtraError

SIZE_HW = (192, 256)
NUM_CLASSES = 4

LAYERS: tuple[tuple[int, int, int, int, int], ...] = (
    (3, 16, 3, 2, 1),
    (16, 32, 3, 2, 1),
    (32, 32, 3, 1, 32),
    (32, 64, 1, 1, 1),
    (64, 64, 3, 2, 64),
    (64, 96, 1, 1, 1),
    (96, 96, 3, 1, 96),
    (96, 96, 1, 1, 1),
    (96, 32, 3, 1, 1),
    (32, NUM_CLASSES, 1, 1, 1),
)
"""(in channels, out channels, kernel, stride, groups); each but the last is followed by ReLU."""

_IR_VERSION = 10
_OPSET = 18


def weights(in_channels: int, out_channels: int, kernel: int, groups: int) -> npt.NDArray[np.float32]:
    """[out, in / groups, k, k]: exact multiples of 1/32, so that the bytes are the same on every machine."""
    shape = (out_channels, in_channels // groups, kernel, kernel)
    index = np.arange(np.prod(shape), dtype=np.int64)
    ramp = (index * 7919 + 17) % 31 - 15
    return (ramp.astype(np.float32) / 32.0).reshape(shape)


def write_anchor(path: Path) -> None:
    """Write the anchor network; equal bytes wherever it is called with the same onnx.

    Raises:
        MissingExtraError: onnx is absent.
    """
    try:
        onnx = importlib.import_module("onnx")
    except ImportError:
        raise MissingExtraError("onnx", "onnx", "the anchor network of a measurement") from None
    path.write_bytes(_model(onnx).SerializeToString(deterministic=True))


def _model(onnx: Any) -> Any:
    helper, nodes, initializers = onnx.helper, [], []
    value = "frame"
    for number, (inputs, outputs, kernel, stride, groups) in enumerate(LAYERS):
        initializers.append(onnx.numpy_helper.from_array(weights(inputs, outputs, kernel, groups), f"w{number}"))
        nodes.append(
            helper.make_node(
                "Conv",
                [value, f"w{number}"],
                [f"c{number}"],
                kernel_shape=[kernel, kernel],
                strides=[stride, stride],
                pads=[kernel // 2] * 4,
                group=groups,
            )
        )
        value = f"c{number}"
        if number < len(LAYERS) - 1:
            nodes.append(helper.make_node("Relu", [value], [f"r{number}"]))
            value = f"r{number}"
    initializers.append(onnx.numpy_helper.from_array(np.array([1, NUM_CLASSES, *SIZE_HW], np.int64), "sizes"))
    nodes.append(
        helper.make_node(
            "Resize",
            [value, "", "", "sizes"],
            ["logits"],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )
    )
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "anchor",
        [helper.make_tensor_value_info("frame", kind, [1, 3, *SIZE_HW])],
        [helper.make_tensor_value_info("logits", kind, [1, NUM_CLASSES, *SIZE_HW])],
        initializers,
    )
    return helper.make_model(
        graph,
        producer_name="vidseg-nas",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
