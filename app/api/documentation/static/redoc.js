// Draws the page at /redoc. A file of its own, so that the policy needs no inline scripts.
const page = document.getElementById("page");
Redoc.init(page.dataset.document, { hideDownloadButton: false, nativeScrollbars: true }, page);
