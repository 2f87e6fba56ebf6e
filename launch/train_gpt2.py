"""Train GPT-2: what torchrun starts, on a laptop or on many GPUs.

    torchrun --standalone --nproc_per_node=2 launch/train_gpt2.py --preset cpu

The same command goes on where a run was stopped. The program itself is chapter 17's:
src/gpt2_tutorial/launch/train_gpt2.py.
"""

import sys

from gpt2_tutorial.launch.train_gpt2 import main

if __name__ == "__main__":
    sys.exit(main())
