/** A request as code that runs when pasted: the same as the documentation's (`web/snippets.py`). */
import type { Json, JsonObject } from "./json";

export type Language = "curl" | "python" | "javascript";

export interface Call {
  /** The model's address. */
  url: string;
  body: JsonObject;
}

export function snippet(language: Language, call: Call): string {
  return { curl, python, javascript }[language](call);
}

/** In single quotes nothing but a single quote has a meaning for a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function curl({ url, body }: Call): string {
  return [
    "curl --request POST",
    `--url ${quoted(url)}`,
    '--header "Content-Type: application/json"',
    '--header "Authorization: Bearer $YOUR_API_TOKEN"',
    `--data ${quoted(JSON.stringify(body, null, 2))}`,
  ].join(" \\\n  ");
}

function python({ url, body }: Call): string {
  return `\
import os
import time
import requests

headers = {"Authorization": f"Bearer {os.environ['YOUR_API_TOKEN']}"}
body = ${pythonLiteral(body)}

answer = requests.post(${JSON.stringify(url)}, headers=headers, json=body)
answer.raise_for_status()
result_url = answer.json()["result_url"]

while True:
    result = requests.get(result_url, headers=headers).json()
    if result["status"] not in ("in_queue", "in_progress"):
        break
    time.sleep(1)

print(result.get("output") or result)`;
}

function javascript({ url, body }: Call): string {
  return `\
const headers = { Authorization: \`Bearer \${process.env.YOUR_API_TOKEN}\` };
const body = ${JSON.stringify(body, null, 2)};

const answer = await fetch(${JSON.stringify(url)}, {
  method: "POST",
  headers: { ...headers, "Content-Type": "application/json" },
  body: JSON.stringify(body),
});
if (!answer.ok) throw new Error(await answer.text());
const { result_url } = await answer.json();

let result;
do {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  result = await (await fetch(result_url, { headers })).json();
} while (["in_queue", "in_progress"].includes(result.status));
console.log(result.output ?? result);`;
}

/** JSON as Python writes it. Its strings are Python's too: JSON.stringify escapes only lone halves of characters. */
export function pythonLiteral(value: Json, indent = ""): string {
  const deeper = `${indent}    `;
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value);
  const members = isList
    ? value.map((item) => pythonLiteral(item, deeper))
    : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${pythonLiteral(item, deeper)}`);
  const [open, close] = isList ? "[]" : "{}";
  const lines = members.map((member) => `${deeper}${member},\n`).join("");
  return members.length ? `${open}\n${lines}${indent}${close}` : `${open}${close}`;
}
