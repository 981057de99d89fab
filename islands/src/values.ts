/** What a form holds, and the body that is sent: the one thing that runs, is quoted, and is shown as code. */
import { same, type Json, type JsonObject } from "./json";
import type { Picture } from "./pictures";
import type { Field } from "./schema";

/** The value of one field: JSON itself, or pictures that become their addresses. */
export type Value = Json | Picture | Picture[];

export type Values = Record<string, Value>;

/** One item of a list, like a LoRA with its scale. */
export type Item = Record<string, Json>;

export function isPicture(value: Value | undefined): value is Picture {
  return typeof value === "object" && value !== null && "address" in value && "shown" in value;
}

export function picturesOf(value: Value | undefined): Picture[] {
  if (Array.isArray(value)) return (value as Value[]).filter(isPicture);
  return isPicture(value) ? [value] : [];
}

/** The JSON of a field. */
export function plain(field: Field, value: Value): Json {
  if (field.kind === "image" || field.kind === "mask") return isPicture(value) ? value.address : "";
  if (field.kind === "images") return picturesOf(value).map((picture) => picture.address);
  return value as Json;
}

/** The request's body: required fields, and those that differ from their default. */
export function bodyOf(fields: Field[], values: Values): JsonObject {
  const body: JsonObject = {};
  for (const field of fields) {
    const value = plain(field, values[field.name] ?? null);
    if (field.required || !same(value, unsent(field))) body[field.name] = value;
  }
  return body;
}

/** What leaving a field out means. */
function unsent(field: Field): Json {
  return field.schema.default ?? (field.schema.type === "array" ? [] : null);
}

/** The value a field starts with, where there are no pictures in it. */
export function startValue(field: Field): Json {
  if (field.schema.default !== undefined) return structuredClone(field.schema.default);
  if (field.schema.type === "array") return [];
  if (field.schema.type === "boolean") return false;
  if (field.kind === "choice") return field.schema.enum?.[0] ?? "";
  return field.schema.type === "string" ? "" : (field.schema.minimum ?? null);
}

/** A fresh item of a list. */
export function newItem(field: Field): Item {
  return Object.fromEntries(field.items.map((part) => [part.name, startValue(part)]));
}
