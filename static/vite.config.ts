// How the page is built: hashed assets that may be cached for ever, nothing inline (the page runs under a strict CSP).
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [tailwindcss()],
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
