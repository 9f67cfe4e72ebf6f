"""Stand-ins for `docker` and `nvidia-ctk` on the PATH: they say what they are told to, and write down what they were
asked. They show what we make of the answers, never how the real programs behave."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

SCRIPT = """\
#!{python} -IS
import json, sys
from pathlib import Path
words = sys.argv[1:]
with Path({log!r}).open("a") as log:
    print(json.dumps(words), file=log)
for begin, (code, out, err) in json.loads(Path({answers!r}).read_text()).items():
    if " ".join(words).startswith(begin):
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
sys.exit("the stand-in was not told what to say to: " + " ".join(words))
"""
Answers = Mapping[str, tuple[int, str, str]]
"""Beginning of the words → exit code, stdout, stderr."""


class StandInProgram:
    def __init__(self, folder: Path, name: str, answers: Answers) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.answers_file, self.log = folder / name, folder / f"{name}.answers", folder / f"{name}.log"
        self.log.touch()
        self.says(answers)
        self.path.write_text(
            SCRIPT.format(python=sys.executable, log=str(self.log), answers=str(self.answers_file)), encoding="utf-8"
        )
        self.path.chmod(0o755)

    def says(self, answers: Answers) -> None:
        self.answers_file.write_text(json.dumps(answers), encoding="utf-8")

    def asked(self) -> list[list[str]]:
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines()]


def path_with(folder: Path) -> str:
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
