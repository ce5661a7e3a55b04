"""Request ids (A10)."""

import uuid

import pytest

from app.core import context


@pytest.mark.parametrize("given", ["a", "A-1._z", "x" * 64, str(uuid.uuid4())])
def test_a_well_formed_id_is_kept(given: str) -> None:
    assert context.accept_request_id(given) == given


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\n", "é", "*/ DROP TABLE", "a;b"])
def test_any_other_is_replaced_by_a_uuid(given: str | None) -> None:
    assert uuid.UUID(context.accept_request_id(given)).version == 4


def test_the_old_value_comes_back_after_an_error() -> None:
    with pytest.raises(KeyError), context.bound(context.job_id, "1"):
        raise KeyError
    assert context.job_id.get() is None
