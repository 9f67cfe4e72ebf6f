import pytest
from search import Notes

NOTES = ["The ferry leaves at seven.", "Sourdough needs a warm kitchen.", "The dentist moved to Mill Street."]


@pytest.fixture(scope="session")
def notes(orchestrator_stack):
    environment = orchestrator_stack.environment()
    notes = Notes(environment["OPENAI_BASE_URL"], environment["OPENAI_API_KEY"], environment["EMBEDDINGS_MODEL"])
    notes.add(NOTES)
    return notes


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When does the boat go?", NOTES[0]),
        ("How do I bake bread?", NOTES[1]),
        ("Where are my teeth checked?", NOTES[2]),
    ],
)
def test_a_question_finds_the_note_that_answers_it(notes, question, answer):
    assert notes.search(question) == [answer]
