/**
 * The page `/docs`: shows `/openapi.json` to people. It is apart from the rest of the page, and sends no request but for that file: whoever is signed in
 * would otherwise change something of theirs by reading about it.
 */
import type { SwaggerUIBundle } from "swagger-ui-dist";
import bundle from "swagger-ui-dist/swagger-ui-bundle.js?url";
import "swagger-ui-dist/swagger-ui.css";
import "./docs.css";

declare global {
  // The bundle puts it there.
  interface Window {
    SwaggerUIBundle?: SwaggerUIBundle;
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

/** A part of Swagger UI that is left out. */
const nothing = () => () => null;

function show(): void {
  window.SwaggerUIBundle?.({
    url: "/openapi.json",
    dom_id: "#docs",
    deepLinking: true,
    docExpansion: "none",
    // The schemas are shown where they are used.
    defaultModelsExpandDepth: -1,
    supportedSubmitMethods: [],
    validatorUrl: null,
    // Where nothing is sent, nobody signs in.
    plugins: [() => ({ wrapComponents: { authorizeBtn: nothing, authorizeOperationBtn: nothing } })],
  });
}

// It is a script of the old kind. Bundled, it would make the app's own page load one file more.
const script = document.createElement("script");
script.src = bundle;
script.addEventListener("load", show);
document.head.append(script);
