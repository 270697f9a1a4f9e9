"""One command for each measurement of signal.md: everything it needs, in order. Knows nothing of what is measured.

Usage: python -m experiments.signal rank|temporal|designs|frame
What has rows in experiments/results already is not trained again; latencies of `designs` and `frame` are measured
anew and need a quiet machine. To repeat everything, move the results away first.
"""

import subprocess
import sys

FRONT = "experiments/results/signal_front.json"
MEMBERS = "19,14,15,3,23,26"
SPLIT = "25,3,19"
"""The cheapest member with a temporal cell, one in the middle, the dearest."""

STEPS = {
    "rank": ("signal_rank", "signal_rank_table"),
    "temporal": ("signal_temporal", "signal_temporal_table"),
    "designs": (
        f"signal_designs --time --protocol search --front {FRONT} --members {MEMBERS}",
        f"signal_designs --front {FRONT} --members {MEMBERS}",
        "signal_designs --table",
    ),
    "frame": (
        f"signal_frame --parts --protocol search --front {FRONT} --members {SPLIT}",
        f"signal_frame --levers --protocol search --size 120x160 --front {FRONT} --members 26,3,19",
        "signal_frame --table",
    ),
}


def main() -> None:
    """Run the steps of the measurement that is named; the first that fails ends it."""
    if sys.argv[1:] not in [[name] for name in STEPS]:
        sys.exit(f"signal: {' '.join(sys.argv[1:]) or 'nothing'} given; one of {', '.join(STEPS)} allowed")
    for step in STEPS[sys.argv[1]]:
        module, *options = step.split()
        print("python -m", f"experiments.{step}", flush=True)
        subprocess.run([sys.executable, "-m", f"experiments.{module}", *options], check=True)


if __name__ == "__main__":
    main()
