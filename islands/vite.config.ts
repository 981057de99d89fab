/** Builds the islands into the package's static files, which are committed: whoever installs needs no Node. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/safelight/web/static/islands",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false, // its polyfill would be for browsers that cannot run this anyway
    assetsInlineLimit: 0, // the pages' policy allows no data: URLs besides images
    rolldownOptions: {
      input: "src/playground.tsx",
      output: { entryFileNames: "[name].js", assetFileNames: "[name][extname]" },
    },
  },
  test: { include: ["tests/**/*.test.ts"] },
});
