// Draws the page at /docs. A file of its own, so that the policy needs no inline scripts.
SwaggerUIBundle({
  url: document.getElementById("page").dataset.document,
  dom_id: "#page",
  deepLinking: true,
  displayRequestDuration: true,
  // The validator's badge would be loaded from the internet.
  validatorUrl: null,
});
