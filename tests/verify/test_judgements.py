"""The arithmetic and the verdicts behind the probes: pure."""

from __future__ import annotations

import base64
import json
import math
from array import array
from importlib.resources import files

import pytest

from orchestrator.catalog.models import models
from orchestrator.verify.embed_retrieval import Score, judged, language_pairs, parallel_texts, score
from orchestrator.verify.precision import tolerance_of
from orchestrator.verify.prefixes import judged_prefixes, variants
from orchestrator.verify.references import card_similarities, reference_vectors
from orchestrator.verify.round_trip import ANSWER, handbook
from orchestrator.verify.traces import OURS, new_label
from orchestrator.verify.vectors import cosine, is_finite, nearest, norm


def test_vectors() -> None:
    assert cosine([1, 0], [0, 2]) == 0
    assert cosine([1, 1], [2, 2]) == pytest.approx(1)
    assert math.isnan(cosine([0, 0], [1, 1]))
    assert math.isnan(cosine([1], [1, 1]))
    assert norm([3, 4]) == 5
    assert not is_finite([1.0, math.nan])
    assert nearest([1, 0], [[0, 1], [1, 0.1]]) == 1


@pytest.mark.parametrize(
    ("dtype", "floor"),
    [
        ("float32", 0.999),
        ("bfloat16", 0.999),
        ("F16", 0.999),
        ("Q8_0", 0.999),
        ("Q6_K", 0.995),
        ("Q5_K_M", 0.99),
        ("Q4_K_M", 0.98),
        ("IQ4_XS", 0.98),
        ("Q2_K", 0.95),
    ],
)
def test_coarser_weights_are_allowed_more(dtype: str, floor: float) -> None:
    assert tolerance_of(dtype).cosine_floor == floor


def test_the_reference_vectors_are_whole() -> None:
    reference = reference_vectors("all-minilm-l6-v2")
    assert reference is not None
    assert len(reference.texts) == len(reference.vectors) == 8
    assert all(len(vector) == 384 and norm(vector) == pytest.approx(1, abs=1e-6) for vector in reference.vectors)
    raw = json.loads((files("orchestrator.verify") / "data/all-minilm-l6-v2.json").read_text(encoding="utf-8"))
    assert {"sentence-transformers", "transformers", "torch", "weights"} <= raw["made_with"].keys()
    assert array("f", base64.b64decode(raw["vectors"][0]))[0] == reference.vectors[0][0]


def test_unknown_models_have_no_references() -> None:
    assert reference_vectors("bge-m3") is None
    assert reference_vectors("../data/all-minilm-l6-v2") is None
    assert card_similarities("bge-m3") is None


def test_the_qwen3_cards_are_those_of_the_catalogue() -> None:
    for model in ("qwen3-embedding-0.6b", "qwen3-embedding-4b", "qwen3-embedding-8b"):
        card = card_similarities(model)
        assert card is not None
        prefix = models()[model].query_prefix
        assert all(query.startswith(prefix.split("{task}")[0]) for query in card.queries)
        assert all("\nQuery:" in query and "Query: " not in query for query in card.queries)


def test_the_texts_are_parallel() -> None:
    texts = parallel_texts()
    assert len(texts) >= 12
    for code, each in texts.items():
        assert len(each.passages) == len(each.queries) == 8, code
        assert len({*each.passages, *each.queries}) == 16, code
        assert max(len(word) for text in (*each.passages, *each.queries) for word in text.split()) <= 60, code


def test_every_language_is_asked_and_answered_in() -> None:
    pairs = language_pairs(tuple(parallel_texts()))
    for code in parallel_texts():
        assert (code, code) in pairs
        assert ("en", code) in pairs
        assert (code, "en") in pairs


def test_scores() -> None:
    passages = [[1.0, 0.0], [0.0, 1.0]]
    assert score("en", "de", [[1.0, 0.1], [0.1, 1.0]], passages).recall_at_1 == 1
    crossed = score("en", "de", [[0.1, 1.0], [1.0, 0.1]], passages)
    assert (crossed.recall_at_1, crossed.mrr) == (0, 0.5)
    assert score("en", "de", [[1.0, 1.0], [1.0, 1.0]], passages).recall_at_1 == 0  # equal scores find nothing


def made(recall: dict[tuple[str, str], float]) -> tuple[Score, ...]:
    return tuple(Score(asked_in=a, answered_in=b, recall_at_1=value, mrr=value) for (a, b), value in recall.items())


def test_the_floor_depends_on_what_the_model_claims() -> None:
    english_only = made({("en", "en"): 1.0, ("de", "de"): 0.5, ("en", "de"): 0.25, ("de", "en"): 0.25})
    assert judged(english_only, multilingual=False).verdict == "pass"
    assert judged(english_only, multilingual=True).verdict == "fail"
    weak_english = made({("en", "en"): 0.5, ("de", "de"): 1.0, ("en", "de"): 1.0, ("de", "en"): 1.0})
    assert judged(weak_english, multilingual=False).verdict == "fail"


def test_one_language_that_is_hardly_found_warns() -> None:
    good = {(a, b): 1.0 for a in ("en", "de", "fr", "ja") for b in ("en", "de", "fr")}
    scores = made({**good, ("en", "ja"): 0.25, ("ja", "ja"): 0.5, ("fr", "ja"): 0.5})
    finding = judged(scores, multilingual=True)
    assert finding.verdict == "warn"
    assert "ja" in finding.reason


FLOAT32 = tolerance_of("float32")


def test_prefixes_that_explain_what_is_seen_pass() -> None:
    documents, queries = {"as planned": 0.99999}, {"as planned": 0.0001, "missing": 0.003, "doubled": 0.01}
    assert judged_prefixes(documents, queries, FLOAT32).verdict == "pass"


@pytest.mark.parametrize(
    ("documents", "queries", "reason"),
    [
        ({"as planned": 1.0}, {"as planned": 0.003, "missing": 0.0, "doubled": 0.02}, "query prefix: missing"),
        ({"as planned": 1.0}, {"as planned": 0.003, "missing": 0.02, "doubled": 0.0}, "query prefix: doubled"),
        ({"as planned": 1.0}, {"as planned": 0.003}, "query prefix: another text"),
        (
            {"as planned": 0.98, "missing": 1.0, "doubled": 0.97},
            {"as planned": 0.0},
            "document prefix: missing",
        ),
        ({"as planned": 0.98}, {"as planned": 0.0}, "document prefix: another text"),
    ],
)
def test_a_wrong_prefix_is_named(documents: dict[str, float], queries: dict[str, float], reason: str) -> None:
    finding = judged_prefixes(documents, queries, FLOAT32)
    assert finding.verdict == "fail"
    assert reason in finding.reason


def test_a_coarse_model_is_not_excused_where_another_variant_is_nearer() -> None:
    documents, queries = {"as planned": 1.0}, {"as planned": 0.0015, "missing": 0.0001, "doubled": 0.01}
    assert judged_prefixes(documents, queries, tolerance_of("Q8_0")).verdict == "fail"


def test_variants_of_no_prefix() -> None:
    assert list(variants("")) == ["as planned"]
    assert variants("query: ")["doubled"] == "query: query: "


def test_the_handbook_has_its_answer_once() -> None:
    assert handbook().count(ANSWER) == 1
    assert len(handbook()) > 3000


def test_only_our_own_labels_are_ours() -> None:
    assert OURS.fullmatch(new_label())
    assert OURS.fullmatch(f"{new_label()}.txt")
    for name in ("orchestrator-verify-", "orchestrator-verify-notes.txt", f"my {new_label()}", f"{new_label()}.pdf"):
        assert not OURS.fullmatch(name)
