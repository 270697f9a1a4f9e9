"""A driver to be killed: resumes the toy search in a folder. Usage: toy_driver.py FOLDER CALLS [ENGINE]."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

if __name__ == "__main__":
    from toy_search import COST, ToyTrain, toy_search

    from nas.engines import make_engine
    from nas.stages import Stage

    folder, calls, engine = Path(sys.argv[1]), sys.argv[2], (*sys.argv[3:], "inline")[0]
    toy_search(
        folder, "evolution", trials=30, slots=3, options={"population": 4, "sample": 2},
        stages=(COST, Stage("train", ToyTrain(log=calls, seconds=0.03))), engine=lambda: make_engine(engine, 2),
    )  # fmt: skip
