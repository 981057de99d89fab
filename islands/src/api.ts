/** Calls to the server's own API, with the session's cookie. Every failure is a Refusal or an Offline. */
import { isObject, type JsonObject } from "./json";
import { page, say } from "./page";

/** The server's answer was no: what was wrong, and at which fields. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: { field: string; message: string }[] = [],
  ) {
    super(message);
  }
}

/** The server was not reached. */
export class Offline extends Error {
  constructor() {
    super(say("offline"));
  }
}

interface Call {
  method?: "GET" | "POST" | "DELETE";
  json?: JsonObject;
  blob?: Blob;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Call the API and give its JSON. Raises Refusal and Offline. */
export async function call<Answer>(path: string, { method, json, blob, headers, signal }: Call = {}): Promise<Answer> {
  const body = json ? JSON.stringify(json) : blob;
  const type = json ? "application/json" : blob?.type;
  let response: Response;
  try {
    response = await fetch(path, {
      method: method ?? (body === undefined ? "GET" : "POST"),
      headers: { "Accept-Language": page().language, ...(type && { "Content-Type": type }), ...headers },
      body,
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Offline();
  }
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer as Answer;
  throw refusalOf(response.status, answer);
}

function refusalOf(status: number, answer: unknown): Refusal {
  const error = isObject(answer) && isObject(answer.error) ? answer.error : {};
  const fields = Array.isArray(error.fields) ? error.fields : [];
  return new Refusal(
    status,
    String(error.code ?? ""),
    typeof error.message === "string" ? error.message : say("went_wrong"),
    fields as unknown as { field: string; message: string }[],
  );
}

/** An address of this server as the page may load it: the public address may differ from the one in use. */
export function local(address: string): string {
  try {
    const url = new URL(address, location.href);
    const ours = url.origin === location.origin || url.origin === new URL(page().base_url).origin;
    return ours ? url.pathname + url.search : "";
  } catch {
    return "";
  }
}
