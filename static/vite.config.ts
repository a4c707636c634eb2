// How the page is built: hashed assets that may be cached for ever, nothing inline (the page runs under a strict CSP).
import tailwindcss from "@tailwindcss/vite";
import { defineConfig, type Plugin } from "vite";

/** KaTeX brings each font in three forms. Every browser this page supports reads the smallest. */
const woff2Only: Plugin = {
  name: "woff2-only",
  enforce: "pre",
  transform: (code, id) =>
    id.endsWith("katex.min.css") ? code.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)/g, "") : null,
};

export default defineConfig({
  plugins: [tailwindcss(), woff2Only],
  build: {
    // A data: URL would be refused for scripts and is not cached for anything else.
    assetsInlineLimit: 0,
    // The polyfill is a script of its own kind; every browser this page supports preloads modules itself.
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: {
    // `npm run dev` beside a running app: the page from Vite, the rest from there.
    proxy: { "/api": "http://127.0.0.1:3000", "/auth": "http://127.0.0.1:3000" },
  },
});
