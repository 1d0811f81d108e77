import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork to kill jobs in")
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_job_that_is_killed_at_any_step_or_shared_ends_with_the_same_bytes(tmp_path, attempts):
    command = [sys.executable, str(HERE.with_name("processes.py")), str(HERE.parents[2]), str(tmp_path), str(attempts)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert process.returncode == 0, process.stderr
    said = json.loads(process.stdout)
    assert said["differences"] == []
    assert said["failures"] == 0, process.stderr
    assert said["steps"] > 25
    assert said["kills"] >= said["steps"] - 1
    # Three folders, one page, its manifest and the index.
    assert said["files"] == 6
