"""Makes the helpers of this folder importable, here and in the workers that tests spawn."""

import os
import sys
from pathlib import Path

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
ROOT = str(Path(__file__).parents[2])
os.environ["PYTHONPATH"] = os.pathsep.join([ROOT, HERE, *filter(None, [os.environ.get("PYTHONPATH")])])
