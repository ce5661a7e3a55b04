"""``create-admin`` for an account that is there already."""

from typing import Any

from app.core.config import AppSettings
from tests.accounts import EMAILS, OWNER
from tests.cli.test_accounts import create_admin, fits, holdfast, query, row


def test_an_account_is_promoted_and_keeps_its_password(settings: AppSettings) -> None:
    query(settings, "UPDATE users SET password_hash = 'x', name = 'N' WHERE id = %s", OWNER)
    told = create_admin(settings, EMAILS[OWNER])
    assert (told["promoted"], told["one_time_password"]) == (True, None)
    assert row(settings, "role, password_hash, name", EMAILS[OWNER]) == ("admin", "x", "N")
    assert query(settings, "SELECT event, user_id FROM audit_log") == [("account.role_changed", OWNER)]


def test_a_stranger_who_registered_the_address_is_no_administrator(settings: AppSettings) -> None:
    query(
        settings,
        "UPDATE users SET password_hash = 'x', email_verified_at = NULL, pending_email = 'e@x.org' "
        "WHERE id = %s",
        OWNER,
    )
    give_key(settings)
    told = create_admin(settings, EMAILS[OWNER])
    columns = "role, password_change_required, email_verified_at IS NOT NULL, pending_email"
    assert row(settings, columns, EMAILS[OWNER]) == ("admin", True, True, None)
    assert fits(settings, told["one_time_password"], row(settings, "password_hash", EMAILS[OWNER])[0])
    assert credentials(settings) == (0, 0)


def test_an_unverified_account_may_get_a_password_that_is_given(settings: AppSettings) -> None:
    query(settings, "UPDATE users SET email_verified_at = NULL WHERE id = %s", OWNER)
    told = create_admin(settings, EMAILS[OWNER], "--password-stdin", given="correct horse battery\n")
    assert told["one_time_password"] is None
    assert row(settings, "password_change_required", EMAILS[OWNER]) == (False,)


def test_a_promoted_account_gets_the_password_that_is_given(settings: AppSettings) -> None:
    create_admin(settings, EMAILS[OWNER], "--password-stdin", given="correct horse battery\n")
    assert fits(settings, "correct horse battery", row(settings, "password_hash", EMAILS[OWNER])[0])


def test_with_the_password_that_is_given_all_that_got_in_before_ends(settings: AppSettings) -> None:
    give_key(settings)
    query(settings, "UPDATE users SET pending_email = 'e@x.org' WHERE id = %s", OWNER)
    assert credentials(settings) == (1, 1)
    create_admin(settings, EMAILS[OWNER], "--password-stdin", given="correct horse battery\n")
    assert credentials(settings) == (0, 0)
    assert row(settings, "pending_email", EMAILS[OWNER]) == (None,)
    told = query(settings, "SELECT details FROM audit_log WHERE event = 'password.changed'")
    assert told == [({"by_command": True, "keys_revoked": 1, "sessions_ended": 1},)]


def give_key(settings: AppSettings) -> None:
    query(
        settings,
        "INSERT INTO api_keys (id, user_id, name, prefix, key_hash, scopes, expires_at) "
        "VALUES (gen_random_uuid(), %s, 'n', 'p', 'h', '{}', now() + interval '1 day')",
        OWNER,
    )


def credentials(settings: AppSettings) -> tuple[Any, ...]:
    """How many sessions and API keys of OWNER hold."""
    return query(
        settings,
        "SELECT (SELECT count(*) FROM sessions WHERE user_id = %s AND revoked_at IS NULL), "
        "(SELECT count(*) FROM api_keys WHERE user_id = %s AND revoked_at IS NULL)",
        OWNER,
        OWNER,
    )[0]


def test_a_disabled_account_is_not_promoted(settings: AppSettings) -> None:
    query(settings, "UPDATE users SET disabled_at = now() WHERE id = %s", OWNER)
    done = holdfast(settings, "create-admin", EMAILS[OWNER])
    assert str(done.exception) == f"{EMAILS[OWNER]} is disabled."
