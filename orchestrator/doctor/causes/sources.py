"""What the model hub, and the way to it says."""

from __future__ import annotations

from orchestrator.doctor.causes.rule import rule

RULES = (
    rule(
        r"GatedRepoError|Access to model .* is restricted|Cannot access gated repo",
        "hub_gated",
        "the model's owner wants its terms accepted",
        "accept them on its page and give a token of that account",
        "export HF_TOKEN=<token>",
    ),
    rule(
        r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier",
        "hub_no_such_repository",
        "the model is not on the hub under this name, or is private",
        "check the name, or give a token that may read it",
        "export HF_TOKEN=<token>",
    ),
    rule(
        r"LocalEntryNotFoundError|couldn't connect to 'https://huggingface\.co'|OfflineModeIsEnabled|"
        r"offline mode is enabled",
        "hub_unreachable",
        "a server wanted a file from the model hub and could not get it",
        "the weights are kept whole before a start: fetch them again",
        "orchestrator up",
    ),
    rule(
        r"SafetensorError|HeaderTooLarge|InvalidHeaderDeserialization|MetadataIncompleteBuffer|incomplete metadata",
        "weights_damaged",
        "the weights are cut off, or no safetensors file",
        "remove them; the next `up` fetches them again",
        "orchestrator up",
    ),
)
