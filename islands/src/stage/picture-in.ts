import { local } from "../api";
import type { Form } from "../form/state";
import type { JsonObject } from "../json";

/** The first picture of an input, where this page can show it. */
export function pictureIn(form: Form, input: JsonObject | null): string {
  const value = form.picture && input?.[form.picture.name];
  const [first] = Array.isArray(value) ? value : [value];
  if (typeof first !== "string") return "";
  return first.startsWith("data:") ? first : local(first);
}
