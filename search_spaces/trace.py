"""What one streaming step executes: fusion groups with every shape-affecting attribute. Knows nothing of cost.

The built module runs once on the meta device under a dispatch mode that records the dataflow; convolutions
then absorb the batch norm, residual sum and activation that follow them alone (a runtime runs those as one
kernel). Multiply-accumulates and latency-table keys both come from this one list.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from search_spaces.architecture import Architecture
from search_spaces.errors import InputError
from search_spaces.frame_phases import phase_given
from search_spaces.fuse import fuse_branches
from search_spaces.network import build
from search_spaces.network import num_parameters as parameters_of

ACTIVATIONS = (
    "relu",
    "hardswish",
    "silu",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "hardsigmoid",
    "gelu",
    "gelu_tanh",
    "elu",
    "mish",
    "relu6",
    "prelu",
)
VIEWS = (
    "view", "reshape", "_unsafe_view", "slice", "split", "chunk", "select", "unsqueeze", "squeeze", "expand",
    "t", "transpose", "permute", "unbind", "alias", "detach", "split_with_sizes", "_reshape_alias", "contiguous",
)  # fmt: skip
NAMES = {
    "convolution": "conv",
    "native_batch_norm": "batch_norm",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "upsample_bilinear2d": "resize",
    "_upsample_bilinear2d_aa": "resize",
    "mean": "global_pool",
    "cat": "concat",
    "avg_pool2d": "avg_pool",
    "max_pool2d_with_indices": "max_pool",
    "constant_pad_nd": "pad",
    "ones_like": "constant",
    "hardtanh": "relu6",
    "_prelu_kernel": "prelu",
}
MAX_FEATURE_VALUES = 2**29
"""Values of the largest feature of one frame: two gigabytes of float32."""

SUMMED = ("sum", "addcmul")
"""What reads the products of an inner product: where a `mul` has no other readers, each of its values is one."""

FREE = ("constant", "empty", "zeros", "ones", "full", "scalar_tensor", "arange")


@dataclass(frozen=True, slots=True)
class OpCall:
    """A fusion group: the leading operation, its shapes, and what is fused to it, in order.

    Heights and widths are of the input and output feature in pixels; `kernel_hw`, `stride_hw` and
    `dilation_hw` are (1, 1) for what is no convolution. `macs` counts convolutions, matrix
    products and inner products written as a product and its sum.
    """

    kind: str
    in_channels: int
    out_channels: int
    in_hw: tuple[int, int]
    out_hw: tuple[int, int]
    kernel_hw: tuple[int, int] = (1, 1)
    stride_hw: tuple[int, int] = (1, 1)
    dilation_hw: tuple[int, int] = (1, 1)
    groups: int = 1
    fused: tuple[str, ...] = ()
    macs: int = 0


@dataclass(slots=True)
class _Node:
    kind: str
    inputs: list[int]
    attributes: dict[str, Any]
    consumers: list[int] = field(default_factory=list)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every operation and which tensors it read; views take the node of what they look at."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nodes: list[_Node] = []
        self._node_of: dict[int, int] = {}
        self._alive: list[Tensor] = []  # ids are reused once a tensor is freed

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.rstrip("_")
        tensors = list(_tensors(args))
        inputs = [self._node_of[id(t)] for t in tensors if id(t) in self._node_of]
        if name in VIEWS:
            self._give(out, inputs[0] if inputs else None)
            return out
        index = len(self.nodes)
        kind = "gelu_tanh" if (kwargs or {}).get("approximate") == "tanh" else NAMES.get(name, name)
        self.nodes.append(_Node(kind, inputs, _attributes(name, tensors, args, out)))
        for source in set(inputs):
            self.nodes[source].consumers.append(index)
        self._give(out, index)
        return out

    def _give(self, out: Any, index: int | None) -> None:
        for tensor in _tensors((out,)):
            self._alive.append(tensor)
            if index is not None:
                self._node_of[id(tensor)] = index


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


def _attributes(name: str, tensors: list[Tensor], args: tuple[Any, ...], out: Any) -> dict[str, Any]:
    result = next(iter(_tensors((out,))), None)
    source = tensors[0] if tensors else result
    attributes: dict[str, Any] = {
        "in_channels": _channels(source) if name != "cat" else sum(_channels(t) for t in tensors),
        "out_channels": _channels(result),
        "in_hw": _hw(source),
        "out_hw": _hw(result),
    }
    if name == "convolution":
        weight, stride, dilation, groups = args[1], args[3], args[5], args[8]
        kernel_hw = (int(weight.shape[2]), int(weight.shape[3]))
        assert result is not None
        attributes |= {
            "kernel_hw": kernel_hw,
            "stride_hw": tuple(stride),
            "dilation_hw": tuple(dilation),
            "groups": groups,
            "macs": result.numel() * int(weight.shape[1]) * kernel_hw[0] * kernel_hw[1],
        }
    elif name in ("mm", "bmm", "addmm", "baddbmm") and result is not None:
        attributes["macs"] = result.numel() * int(tensors[-1].shape[-2])
    elif name in ("mul", "addcmul") and result is not None:
        attributes["macs"] = result.numel()
    return attributes


def _channels(tensor: Tensor | None) -> int:
    """All that lies between batch and pixels: a shuffle copies [N, C / groups, groups, H, W]."""
    if tensor is None or tensor.dim() < 2:
        return 1
    return math.prod(tensor.shape[1:-2]) if tensor.dim() > 4 else int(tensor.shape[1])


def _hw(tensor: Tensor | None) -> tuple[int, int]:
    """A matrix of a batch, such as the scores of an attention, is channels of one row."""
    if tensor is None or tensor.dim() < 3:
        return (1, 1)
    if tensor.dim() == 3:
        return 1, int(tensor.shape[-1])
    return int(tensor.shape[-2]), int(tensor.shape[-1])


def _grouped(nodes: list[_Node]) -> tuple[OpCall, ...]:
    calls = []
    absorbed: set[int] = set()
    for index, node in enumerate(nodes):
        if index in absorbed or node.kind in FREE:
            continue
        fused = _absorb(nodes, index, absorbed) if node.kind == "conv" else ()
        calls.append(OpCall(node.kind, fused=fused, **_counted(nodes, node)))
    return tuple(calls)


def _counted(nodes: list[_Node], node: _Node) -> dict[str, Any]:
    """The attributes of a node, without the products of a `mul` that are not summed up (gates, rates)."""
    summed = node.consumers and all(nodes[reader].kind in SUMMED for reader in node.consumers)
    return node.attributes if node.kind != "mul" or summed else {**node.attributes, "macs": 0}


def _absorb(nodes: list[_Node], index: int, absorbed: set[int]) -> tuple[str, ...]:
    """Follow the only consumer through batch norm, one sum and one activation."""
    allowed = ["batch_norm", "add", *ACTIVATIONS]
    fused: list[str] = []
    while len(nodes[index].consumers) == 1:
        following = nodes[index].consumers[0]
        kind = nodes[following].kind
        if kind not in allowed or following in absorbed:
            break
        fused.append(kind)
        absorbed.add(following)
        index = following
        if kind in ACTIVATIONS:
            break
        allowed = allowed[allowed.index(kind) + 1 :]
    return tuple(fused)


@lru_cache(maxsize=4096)
def op_calls(
    architecture: Architecture, size_hw: tuple[int, int], num_classes: int, phase: int = 0
) -> tuple[OpCall, ...]:
    """The fusion groups that `step` executes for one frame of `size_hw` in a phase of the schedule, in order.

    Raises:
        InputError: the architecture cannot be built.
        ValueError: a side is under 32 pixels.
    """
    with torch.device("meta"):
        model = build(architecture, num_classes).eval()
    return step_calls(model, size_hw, phase)


def step_calls(model: nn.Module, size_hw: tuple[int, int], phase: int = 0) -> tuple[OpCall, ...]:
    """As `op_calls`, of a module on the meta device and in eval mode that has the methods of a VideoSegmenter."""
    streaming = cast("Any", model)
    with torch.device("meta"), torch.no_grad():
        fuse_branches(model)
        frame = torch.empty(1, 3, *size_hw)
        state = streaming.initial_state(1, *size_hw)
        return calls_of(lambda: streaming.step(frame, state, *phase_given(model, phase)))


def calls_of(run: Callable[[], object]) -> tuple[OpCall, ...]:
    """The fusion groups that `run` executes, in order; its tensors should be on the meta device."""
    recorder = _Recorder()
    with recorder:
        run()
    return _grouped(recorder.nodes)


def num_macs(architecture: Architecture, size_hw: tuple[int, int], num_classes: int) -> int:
    """Multiply-accumulates of convolutions, matrix products and inner products a frame, mean over the phases."""
    macs = phase_macs(architecture, size_hw, num_classes)
    return round(sum(macs) / len(macs))


def phase_macs(architecture: Architecture, size_hw: tuple[int, int], num_classes: int) -> tuple[int, ...]:
    """As `num_macs`, of every phase of the schedule; one number where there is none."""
    phases = range(architecture.video.num_phases)
    return tuple(sum(call.macs for call in op_calls(architecture, size_hw, num_classes, phase)) for phase in phases)


def num_parameters(architecture: Architecture, num_classes: int) -> int:
    """Parameters of the network. Raises InputError where it cannot be built."""
    return parameters_of(architecture.video, num_classes)


def require_affordable(architecture: Architecture, size_hw: tuple[int, int], num_classes: int) -> None:
    """Refuse what would exhaust memory, before anything is allocated: for every door an architecture comes in by.

    Raises:
        InputError: too many parameters or classes, or a feature of more than MAX_FEATURE_VALUES at this size.
    """
    largest = max(
        call.out_channels * call.out_hw[0] * call.out_hw[1]
        for phase in range(architecture.video.num_phases)
        for call in op_calls(architecture, size_hw, num_classes, phase)
    )
    if largest > MAX_FEATURE_VALUES:
        raise InputError(
            f"architecture {architecture.key[:12]} at {size_hw[0]}x{size_hw[1]}: a feature of {largest} values given, "
            f"at most {MAX_FEATURE_VALUES} allowed; take a smaller size or narrower stages"
        )


def state_bytes(architecture: Architecture, size_hw: tuple[int, int], num_classes: int) -> int:
    """Bytes of carried state for one stream of frames of `size_hw`, float32."""
    with torch.device("meta"):
        state = build(architecture, num_classes).initial_state(1, *size_hw)
    return sum(tensor.numel() * tensor.element_size() for tensor in state)
