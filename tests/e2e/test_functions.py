"""The functions file: what a wrong one says. What hooks make of the functions is in the deployments' tests."""

import subprocess

import pytest

from harness.server import PROGRAM


@pytest.mark.parametrize("text, complaint", [
    (None, "cannot be read: No such file or directory"),
    ('{"functions": {\n"check": {"command": "check"}}}', 'invalid type: string "check", expected a sequence at line 2 column'),
    ('{"functions": {"check": {}}}', "check: a function has either `url` or `command` at line 1 column"),
])
def test_a_wrong_functions_file_ends_the_start(world, tmp_path, text, complaint):
    file = tmp_path / "functions.json"
    if text:
        file.write_text(text)
    command = [PROGRAM, "dev", "--no-node", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--functions", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"the functions file {file}" in done.stderr and complaint in done.stderr, done.stderr
