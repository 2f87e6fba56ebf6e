"""Part of the GPU day: the tests that need CUDA, one outcome after another into the log."""

from __future__ import annotations

import os

import pytest
from gpu_job import ROOT, Job

FILE = "tests/benchmarks/test_cuda.py"
LONG = "asked_to_stop"  # starts the script twice, as the next part does; left out when tiny
# What the project asks of pytest elsewhere needs packages that are not there; other versions of
# torch may warn of other things, and a warning is no failure here.
PLAIN = ["-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-q", "-rs"]


class Recorder:
    """A pytest plugin that keeps the log as the tests go."""

    def __init__(self, job: Job):
        self.job, self.tests = job, []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        wrong_around = report.when != "call" and report.outcome == "failed"
        skipped = report.when == "setup" and report.outcome == "skipped"
        if report.when != "call" and not wrong_around and not skipped:
            return
        said = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        name = report.nodeid.removeprefix("tests/")
        row = {"name": name, "outcome": report.outcome, "seconds": round(report.duration, 2)}
        self.tests.append(row | {"said": said[-2000:]})
        print(f"{report.outcome} {name} {report.duration:.1f} s", flush=True)
        self.job.keep(**self.counts())

    def counts(self) -> dict:
        found = [test["outcome"] for test in self.tests]
        counts = {word: found.count(word) for word in ("passed", "failed", "skipped")}
        return counts | {"tests": self.tests}


def measure(job: Job) -> None:
    """Run them in this process; on a CPU they run there, which shows that they run at all."""
    if job.device == "cpu":
        os.environ["GPT2_CUDA_TESTS_ON"] = "cpu"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    os.chdir(ROOT)
    recorder = Recorder(job)
    fewer = ["-k", f"not {LONG}"] if job.tiny else []
    code = pytest.main([*PLAIN, "-m", "cuda", *fewer, FILE], plugins=[recorder])
    if not recorder.tests:
        raise RuntimeError(f"pytest ended with code {int(code)} and ran no test of {FILE}")
