import { execFileSync } from "node:child_process";

import { expect, test } from "vitest";

import { snippet, type Language } from "../src/snippets";

/** Everything that a shell, Python or JavaScript could take for its own. */
const body = {
  prompt: `It's a "red" house $HOME \`ls\` \\n ${"\n"}JSON\n' EOF \u2028 눈 위의 집 🏠 </script>`,
  strength: 0.5,
  seed: null,
  enable_prompt_expansion: true,
  loras: [{ path: "some/lora", scale: 1 }],
  nothing: [],
};
const call = { url: "http://127.0.0.1:8000/v1/models/a/b/c", body };

function written(language: Language): string {
  return snippet(language, call);
}

test("the shell hands curl exactly the body", () => {
  const script = `curl() { printf %s "\${!#}"; }\n${written("curl")}`;
  expect(JSON.parse(execFileSync("bash", ["-c", script], { encoding: "utf8" }))).toEqual(body);
});

test("Python reads exactly the body", () => {
  const catcher = [
    "import json, os, sys, types",
    "os.environ['YOUR_API_TOKEN'] = 'k'",
    "requests = sys.modules['requests'] = types.ModuleType('requests')",
    "requests.post = lambda url, headers, json: (print(__import__('json').dumps(json)), sys.exit(0))",
  ].join("\n");
  const out = execFileSync("python3", ["-c", `${catcher}\n${written("python")}`], { encoding: "utf8" });
  expect(JSON.parse(out)).toEqual(body);
});

test("JavaScript reads exactly the body", () => {
  const catcher = "globalThis.fetch = async (_, { body }) => (console.log(body), process.exit(0));";
  const code = `${catcher}\n${written("javascript")}`;
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" });
  expect(JSON.parse(out)).toEqual(body);
});
