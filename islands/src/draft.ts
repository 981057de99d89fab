/** What was typed and painted survives a reload and a change of language; it ends with the tab. */
import type { Form } from "./form/state";
import { isObject, type JsonObject } from "./json";

const PAUSE_MS = 300;
let timer: ReturnType<typeof setTimeout> | undefined;

export function readDraft(modelId: string): JsonObject | null {
  try {
    const draft: unknown = JSON.parse(sessionStorage.getItem(keyOf(modelId)) ?? "null");
    return isObject(draft) ? draft : null;
  } catch {
    return null;
  }
}

/** Keep the form as it is now, a little later: not at every letter. */
export function keepDraft(modelId: string, form: Form): void {
  const body = form.body.value;
  clearTimeout(timer);
  timer = setTimeout(() => void save(modelId, form, body), PAUSE_MS);
}

async function save(modelId: string, form: Form, body: JsonObject): Promise<void> {
  const painting = form.painting.peek();
  const draft = { ...body };
  if (form.mask && !draft[form.mask.name] && painting && !painting.isEmpty.peek()) {
    draft[form.mask.name] = await asDataUri(await painting.export());
  }
  try {
    sessionStorage.setItem(keyOf(modelId), JSON.stringify(draft));
  } catch {
    sessionStorage.removeItem(keyOf(modelId)); // it was too large; better none than an old one
  }
}

function keyOf(modelId: string): string {
  return `safelight:draft:${modelId}`;
}

export function asDataUri(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error ?? new Error("read"));
    reader.readAsDataURL(blob);
  });
}
