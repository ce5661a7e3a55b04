"""What paths are made of."""

from typing import Final

from starlette.convertors import Convertor, register_url_convertor

V1: Final = "/api/v1"
"""What the paths of this version begin with."""

OWN: Final = ("usage",)
"""Paths under a noun that are no ids of things, beside which there are paths of things."""


class _ThingConvertor(Convertor[str]):
    """Any text but those paths: what is not possible there is 405, and not a fault of an id."""

    regex = rf"(?!(?:{'|'.join(OWN)})$)[^/]+"

    def convert(self, value: str) -> str:
        """As it is; what it must look like is said by the parameter's type."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


_NAME: Final = "thing"
register_url_convertor(_NAME, _ThingConvertor())


def thing(parameter: str) -> str:
    """The part of a path that holds the id of a thing."""
    return f"{{{parameter}:{_NAME}}}"
