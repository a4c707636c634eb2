/** Starts the page. */
import { render } from "preact";
import "./app.css";
import { App } from "./views/app.tsx";

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
