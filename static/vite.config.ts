// Builds the page: hashed assets that may be cached for ever, and nothing inline, because the page has a strict CSP.
import tailwindcss from "@tailwindcss/vite";
import { defineConfig, type Plugin } from "vite";

/** KaTeX has each font in three formats. All supported browsers read the smallest one. */
const woff2Only: Plugin = {
  name: "woff2-only",
  enforce: "pre",
  transform: (code, id) =>
    id.endsWith("katex.min.css") ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)/g, "") : null,
};

export default defineConfig({
  plugins: [tailwindcss(), woff2Only],
  build: {
    // Scripts as data: URLs would be refused, and other assets would not be cached.
    assetsInlineLimit: 0,
    // The polyfill is an inline script. All supported browsers preload modules themselves.
    modulePreload: { polyfill: false },
    sourcemap: false,
    // Two pages: the app, and the description of its API.
    rolldownOptions: { input: ["index.html", "docs.html"] },
  },
  server: {
    // `npm run dev` beside a running app: the page from Vite, everything else from the app.
    proxy: { "/api": "http://127.0.0.1:3000", "/auth": "http://127.0.0.1:3000" },
  },
});
