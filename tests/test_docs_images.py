"""Pictures in the docs are there, and show nothing of the machine that they were made on."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
IMAGES = sorted((DOCS / "img").glob("*.svg"))


def test_every_picture_that_a_page_shows_is_there():
    for page in DOCS.glob("*.md"):
        for path in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (DOCS / path).exists(), f"{page.name}: {path}"


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_no_folder_or_kernel_of_a_machine_is_in_it(image):
    text = image.read_text(encoding="utf-8")
    assert not re.search(r"/(tmp|work|root|home)/|-fc-", text)
