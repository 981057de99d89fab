/** What the server put into the page for the playground: the model, the words, the addresses. */
import type { JsonObject } from "./json";
import type { ImageFields, InputSchema } from "./schema";

export interface Page {
  language: string;
  /** Every word that is shown, by its key; `{name}` in it is filled in. */
  texts: Record<string, string>;
  /** Who is logged in; null: nobody. */
  account: { email: string; balance_usd: number; unmetered?: boolean } | null;
  model: {
    model_id: string;
    display_name: string;
    ready: boolean;
    input_schema: InputSchema;
  };
  /** Which fields of the input hold an image. */
  image_fields: ImageFields;
  /** Inputs to start from. */
  examples: Example[];
  /** Models that take a picture: where a result can go on to. */
  takers: { model_id: string; display_name: string }[];
  /** What the server is called from outside; code that is copied says it. */
  base_url: string;
  /** Where to log in and come back. */
  login_url: string;
  /** Where keys and credits are. */
  profile_url: string;
}

export interface Example {
  name: string;
  input: JsonObject;
}

let loaded: Page | undefined;

/** The page's data: JSON in a script element that no browser runs. */
export function page(): Page {
  loaded ??= JSON.parse(document.getElementById("playground-data")?.textContent ?? "{}") as Page;
  return loaded;
}

/** For tests: another page. */
export function load(other: Page): void {
  loaded = other;
}

/** A text of the page in its language. */
export function say(key: string, values: Record<string, string | number> = {}): string {
  const text = page().texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? shownNumber(value) : value;
  });
}

export function shownNumber(value: number): string {
  return value.toLocaleString(page().language, { maximumFractionDigits: 4 });
}

/** `1.24 s`: seconds as people read them. */
export function shownSeconds(seconds: number): string {
  const digits = seconds < 10 ? 1 : 0;
  const number = seconds.toLocaleString(page().language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return say("seconds", { number });
}
