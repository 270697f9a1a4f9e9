"""The process that times the parts in torch eager. Knows nothing of the table or of files.

`latency_tables.protocol.measure` starts it in place of its own worker, which builds architectures alone: here a
candidate's `architecture` is the key of a part.
"""

import torch

from experiments.op_costs_harness import streamed
from experiments.op_costs_parts import parts
from latency_tables import worker
from latency_tables.runtimes.base import Candidate, StreamingStep
from latency_tables.runtimes.torch_eager import TorchEager, TorchStep


class PartsInTorch(TorchEager):
    """PyTorch eager, as it is timed for networks."""

    def load(self, candidate: Candidate, precision: str, threads: int) -> StreamingStep:
        """Build the part that `candidate.architecture` names. Raises StopIteration where there is none."""
        torch.set_num_threads(threads)
        part = next(part for part in parts() if part.key == candidate.architecture)
        return TorchStep(streamed(part), candidate.size_hw)


if __name__ == "__main__":
    worker.main(PartsInTorch())
