"""Names in and out."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.services.media.names import MAXIMUM_BYTES, MAXIMUM_LENGTH, clean_name, content_disposition


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("holiday.mp4", "holiday.mp4"),
        ("Ferien am Meer 🏖️.mp4", "Ferien am Meer 🏖️.mp4"),
        ("日本語.mov", "日本語.mov"),
        ("cafe\u0301.jpg", "caf\u00e9.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\clip.avi", "clip.avi"),
        ("a\0b\r\nSet-Cookie: x.mp4", "abSet-Cookie: x.mp4"),
        ("photo\u202egnp.exe", "photognp.exe"),
        (".\0./hidden", "hidden"),
        ("\ud800lone.mp4", "lone.mp4"),
        (" . . ", "unnamed.mp4"),
        ("..", "unnamed.mp4"),
        ("folder/", "unnamed.mp4"),
        ("", "unnamed.mp4"),
        (None, "unnamed.mp4"),
    ],
)
def test_a_name_keeps_its_letters_and_loses_what_is_dangerous(given_name: str | None, name: str) -> None:
    assert clean_name(given_name, extension=".mp4") == name


def test_a_long_name_keeps_its_extension() -> None:
    name = clean_name("n" * 10_000 + ".mp4", extension=".mp4")
    assert name.endswith("n.mp4")
    assert len(name) == MAXIMUM_LENGTH


def test_a_long_name_of_wide_letters_fits_a_file_system() -> None:
    name = clean_name("語" * 150 + ".mp4", extension=".mp4")
    assert name.endswith("語.mp4")
    assert len(name.encode()) <= MAXIMUM_BYTES


def test_what_only_looks_like_an_extension_is_cut_as_well() -> None:
    assert len(clean_name("a." + "b" * 10_000, extension=".mp4")) == MAXIMUM_LENGTH


@settings(deadline=None)
@given(st.text())
def test_no_name_at_all_leaves_a_path_a_control_character_or_too_much(given_name: str) -> None:
    name = clean_name(given_name, extension=".mp4")
    assert 0 < len(name) <= MAXIMUM_LENGTH
    assert 0 < len(name.encode()) <= MAXIMUM_BYTES
    assert not re.search(r"[/\\\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", name)
    assert name not in {".", ".."}


def test_a_download_is_named_in_ascii_and_in_utf_8() -> None:
    assert content_disposition("naïve 語.mp4") == (
        "attachment; filename=\"naive .mp4\"; filename*=UTF-8''na%C3%AFve%20%E8%AA%9E.mp4"
    )


def test_quotes_backslashes_and_percent_signs_cannot_end_the_plain_name() -> None:
    header = content_disposition('a"b\\c%22.mp4', kind="inline")
    assert header.startswith('inline; filename="a_b_c_22.mp4"; ')


def test_a_name_without_any_ascii_has_a_plain_one_all_the_same() -> None:
    assert 'filename="file"' in content_disposition("語")


@settings(deadline=None)
@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_name_comes_back_from_the_header_and_adds_none(name: str) -> None:
    header = content_disposition(name)
    assert re.fullmatch(
        r"attachment; filename=\"[^\"\\%\x00-\x1f\x7f]+\"; filename\*=UTF-8''[\w.~%-]+", header
    )
    assert header.isascii()
    assert unquote(header.partition("UTF-8''")[2]) == name
