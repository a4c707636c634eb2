/**
 * Starts the page `/docs`, which shows `/openapi.json` to people. It is apart from the app, and sends no request but for that file: whoever is signed in
 * would otherwise change something of theirs by reading about it.
 */
import { render } from "preact";
import "./app.css";
import { Docs } from "./views/docs.tsx";

const root = document.getElementById("docs");
if (root !== null) render(<Docs />, root);
