"""The pages at /docs and /redoc: their scripts and styles come from this server, under a strict policy."""

from html import escape
from pathlib import Path
from typing import Final

import fastapi_offline
from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse

from app.exceptions.base import NotFoundException

DOCUMENT: Final = "/openapi.json"
ASSETS: Final = "/docs/assets"
_PACKAGED: Final = Path(fastapi_offline.__file__).parent / "static"
_OWN: Final = Path(__file__).parent / "static"
FILES: Final = {
    "swagger-ui-bundle.js": _PACKAGED / "swagger-ui-bundle.js",
    "swagger-ui.css": _PACKAGED / "swagger-ui.css",
    "redoc.standalone.js": _PACKAGED / "redoc.standalone.js",
    "swagger.js": _OWN / "swagger.js",
    "redoc.js": _OWN / "redoc.js",
    "icon.svg": _OWN / "icon.svg",
    "page.css": _OWN / "page.css",
}

# Scripts only from here, never from the page itself. Both programs write style attributes as they draw, and
# a style attribute runs nothing. Redoc searches in a worker that it makes from a blob.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="{assets}/icon.svg">
{styles}
</head>
<body>
<div id="page" data-document="{document}"></div>
{scripts}
</body>
</html>
"""

router = APIRouter(include_in_schema=False)


@router.get(DOCUMENT)
async def openapi(request: Request) -> JSONResponse:
    """The API for programs (OpenAPI 3.1)."""
    return JSONResponse(request.app.openapi())


@router.get("/docs")
@router.get("/api/docs")
async def swagger(request: Request) -> HTMLResponse:
    """The API to read and to try."""
    return _page(
        request, styles=("swagger-ui.css", "page.css"), scripts=("swagger-ui-bundle.js", "swagger.js")
    )


@router.get("/redoc")
@router.get("/api/redoc")
async def redoc(request: Request) -> HTMLResponse:
    """The API to read."""
    return _page(request, styles=("page.css",), scripts=("redoc.standalone.js", "redoc.js"))


@router.get(ASSETS + "/{name}")
async def asset(name: str) -> FileResponse:
    """A script or style of the pages.

    Raises:
        NotFoundException: it is none of those.
    """
    if name not in FILES:
        raise NotFoundException("The documentation has no such file.")
    return FileResponse(FILES[name], headers={"Cache-Control": "public, max-age=3600"})


def _page(request: Request, *, styles: tuple[str, ...], scripts: tuple[str, ...]) -> HTMLResponse:
    root = escape(request.scope.get("root_path", "").rstrip("/"))
    assets = root + ASSETS
    page = _PAGE.format(
        title=escape(request.app.title),
        assets=assets,
        document=root + DOCUMENT,
        styles="\n".join(f'<link rel="stylesheet" href="{assets}/{name}">' for name in styles),
        scripts="\n".join(f'<script src="{assets}/{name}"></script>' for name in scripts),
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})
