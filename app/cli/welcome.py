"""What ``up`` says at its end."""

from collections.abc import Iterator

from rich.markup import escape

from app.cli.accounts import print_made
from app.cli.console import console
from app.cli.startup import Plan
from app.core.commands import in_checkout, spoken
from app.services.auth.administrators import Made
from app.supervision import control
from app.supervision.state import State


def print_welcome(plan: Plan, seconds: float, first: Made | None) -> None:
    """Where the stack is, who its first administrator is if that was made now, and what to try next."""
    state = plan.state
    linked = control.write_client_configuration(state) is not None
    console.print(f"[bold green]{escape(plan.settings.app_name)} is ready[/] after {seconds} s\n")
    rows = {
        "API": plan.url,
        "Documentation": f"{plan.url}/docs",
        "Health": f"{plan.url}/health",
        "State and secrets": str(state.folder),
        "Log": f"{state.log_file}   ({spoken('logs')})",
        "Processes": f"{spoken('status')}, or {_supervisorctl(state, linked=linked)} status",
    }
    for name, value in rows.items():
        console.print(f"  {name:<18} {escape(value)}")
    if first is not None:
        console.print()
        print_made(first)
    console.print("\nTry next:", *_next_steps(plan, first), sep="\n  ", markup=False)


def _supervisorctl(state: State, *, linked: bool) -> str:
    program = ".venv/bin/supervisorctl" if in_checkout() else "supervisorctl"
    return program if linked else f"{program} -c {state.client_configuration}"


def _next_steps(plan: Plan, first: Made | None) -> Iterator[str]:
    api = f"{plan.url}/api/v1"
    authorized = 'curl -H "Authorization: Bearer $TOKEN"'
    email = first.user.email if first else plan.settings.auth.first_admin_email
    password = first.one_time_password if first else "PASSWORD"
    if plan.serves:
        yield (
            f"TOKEN=$(curl -s -d username={email} -d password={password} {api}/auth/token "
            """| sed 's/.*"access_token":"\\([^"]*\\).*/\\1/')"""
        )
    if plan.serves and first is not None:
        passwords = f'{{"current_password": "{password}", "new_password": "YOUR OWN"}}'
        yield f"{authorized} -H 'Content-Type: application/json' -d '{passwords}' {api}/auth/password"
    if plan.serves:
        yield f"{authorized} -F file=@video.mp4 {api}/media"
        yield f"{authorized} {api}/jobs"
    yield spoken("down")
