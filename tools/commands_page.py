"""Writes docs/commands.md and man/orchestrator.1 from the command line itself: `python tools/commands_page.py`."""

from __future__ import annotations

from pathlib import Path

from tools.verbs import Verb, global_options, verbs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "commands.md"
MAN_PAGE = ROOT / "man" / "orchestrator.1"

HEAD = """# Commands

Made by `tools/commands_page.py` from the command line itself; a test holds the two together.

Every command exits with 0 (done), 1 (a verdict failed), 2 (usage or configuration), 3 (the tool itself failed) or 130
(interrupted). `--json` prints exactly one object on stdout and nothing else; progress and people's text go to stderr.

| command | what it does |
|---|---|
"""

MAN_HEAD = r""".TH ORCHESTRATOR 1 "" "" "User Commands"
.SH NAME
orchestrator \- stand up, verify, diagnose and measure a self\-hosted multilingual retrieval stack
.SH SYNOPSIS
.B orchestrator
[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]
.SH DESCRIPTION
An embedding server (vLLM, Ollama or llama.cpp), ChromaDB and Open WebUI, planned from this machine's own numbers, wired
through their APIs, and proven before the stack is called ready.
"""

MAN_TAIL = r""".SH EXIT STATUS
.TP
.B 0
done
.TP
.B 1
a verdict failed: a check, a target, a verification, a start
.TP
.B 2
usage or configuration
.TP
.B 3
the tool itself failed
.TP
.B 130
interrupted
.SH ENVIRONMENT
.TP
.B ORCHESTRATOR_HOME
where stacks, environments and models are kept; default: the platform's user data folder
.SH FILES
.TP
.I stacks/NAME/secrets/credentials.env
below ORCHESTRATOR_HOME, mode 0600: the admin's sign\-in and the API keys of a stack
"""


def page() -> str:
    found = verbs()
    rows = [f"| [`{_name(verb)}`](#{_anchor(verb)}) | {_cell(verb.line)} |\n" for verb in found]
    return "".join([HEAD, *rows, "\n", *map(_section, found)]).rstrip() + "\n"


def man_page() -> str:
    parts = [MAN_HEAD, ".SH OPTIONS\n", *map(_man_option, global_options()), ".SH COMMANDS\n", *map(_man, verbs())]
    return "".join([*parts, MAN_TAIL])


def _name(verb: Verb) -> str:
    return " ".join(verb.words)


def _anchor(verb: Verb) -> str:
    return "-".join(verb.words)


def _section(verb: Verb) -> str:
    parts = [f'<a id="{_anchor(verb)}"></a>\n\n## {_name(verb)}\n\n', f"```text\n{verb.usage}\n```\n\n"]
    parts += [f"{_escaped(verb.text)}\n\n"] if verb.text else []
    if verb.options:
        rows = "".join(f"| `{_code(typed)}` | {_cell(what)} |\n" for typed, what in verb.options)
        parts.append(f"| option | meaning |\n|---|---|\n{rows}\n")
    parts += [f"```text\n{verb.examples}\n```\n\n"] if verb.examples else []
    return "".join(parts)


def _cell(text: str) -> str:
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _code(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("<", "&lt;")


def _man(verb: Verb) -> str:
    parts = [f".SS {_roff(_name(verb))}\n", f".B {_roff(verb.usage)}\n.PP\n", f"{_roff(verb.text)}\n"]
    parts += map(_man_option, verb.options)
    parts += [f".PP\n.nf\n{_roff(verb.examples)}\n.fi\n"] if verb.examples else []
    return "".join(parts)


def _man_option(option: tuple[str, str]) -> str:
    typed, what = option
    return f".TP\n\\fB{_roff(typed)}\\fR\n{_roff(' '.join(what.split()))}\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in escaped.splitlines())


def write() -> None:
    MAN_PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    MAN_PAGE.write_text(man_page(), encoding="utf-8")


if __name__ == "__main__":
    write()
