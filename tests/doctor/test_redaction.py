import json

import pytest

from orchestrator.doctor.redaction import Private, redacted

PRIVATE = Private(
    secrets=('s3cr3t/with"quote', "s3cr3t/with", "plain-secret-value"),
    folders=(("/home/ada", "~"), ("/home/ada/.local/share/orchestrator", "$ORCHESTRATOR_HOME")),
    names=(("ada", "<user>"), ("analytical-engine", "<host>"), ("root", "<user>")),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key plain-secret-value.", "key <secret>."),
        (json.dumps({"k": 's3cr3t/with"quote'}), '{"k": "<secret>"}'),
        ("/?key=s3cr3t%2Fwith%22quote", "/?key=<secret>"),
        ("/home/ada/.local/share/orchestrator/stacks/x", "$ORCHESTRATOR_HOME/stacks/x"),
        ("/home/ada/notes.txt and /home/ada", "~/notes.txt and ~"),
        ("/home/grace/notes.txt", "/home/<user>/notes.txt"),
        ("/home/adalbert/x", "/home/<user>/x"),
        ("login ada on analytical-engine: Adagio, canada", "login <user> on <host>: Adagio, canada"),
        ("rootless, DockerRootDir, root", "rootless, DockerRootDir, root"),
        ("https://bob:hunter2hunter2@proxy.example:3128", "https://<secret>@proxy.example:3128"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer <secret>"),
        ("token hf_abcdefghijklmnopqrstuvwxyz in a log", "token <secret> in a log"),
        ("HF_TOKEN=abcdefghijkl", "HF_TOKEN=<secret>"),
        ('"api_key": "abcdefghijkl",', '"api_key": "<secret>",'),
        ("WEBUI_SECRET_KEY: ${WEBUI_SECRET_KEY}", "WEBUI_SECRET_KEY: ${WEBUI_SECRET_KEY}"),
        ("tokenizer: sentence-transformers/all", "tokenizer: sentence-transformers/all"),
        ("max_token: 12", "max_token: 12"),
    ],
)
def test_what_is_private_is_taken_out_and_nothing_else(text, expected):
    assert redacted(text, PRIVATE) == expected


def test_short_values_take_no_words_with_them():
    assert redacted("true or false", Private(secrets=("true", ""))) == "true or false"


def test_the_record_does_not_show_what_it_holds():
    assert "plain-secret-value" not in repr(PRIVATE)
