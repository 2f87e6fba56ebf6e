"""Train GPT-2 in this process, as launch/train_gpt2.py does.

On several GPUs use torchrun, or launch/run.sh, which also goes on after a crash.
"""

from gpt2_tutorial.launch.train_gpt2 import add_arguments, run

__all__ = ["add_arguments", "run"]
