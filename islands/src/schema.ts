/**
 * A model's published schema: JSON Schema with habits of its own. `float` is a type, `items` lists an object's
 * fields without saying so, `validations` come with messages, and the default of a required field is an example.
 */
import { isObject, type Json, type JsonObject } from "./json";

export interface FieldSchema {
  title: string;
  description: string;
  type: "string" | "integer" | "float" | "boolean" | "array";
  format?: string;
  enum?: string[];
  default?: Json;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  items?: JsonObject;
  validations?: Validation[];
}

export interface InputSchema {
  required: string[];
  properties: Record<string, FieldSchema>;
}

/** A rule on an image file, and what to say when it is broken. */
export interface Validation {
  validation_rule: string;
  validation_value: number;
  validation_error: string;
}

/** What a field is filled in with. */
export type Kind = "text" | "line" | "number" | "seed" | "choice" | "switch" | "image" | "mask" | "images" | "list";

export interface Field {
  name: string;
  kind: Kind;
  required: boolean;
  schema: FieldSchema;
  /** The fields of a list's items. */
  items: Field[];
}

/** Which fields hold an image, as the server says: the published schema does not always. */
export type ImageFields = Record<string, "image" | "mask">;

/** The fields of a form, in the schema's order. */
export function fieldsOf(schema: InputSchema, images: ImageFields): Field[] {
  return Object.entries(schema.properties).map(([name, property]) =>
    field(name, property, schema.required.includes(name), images),
  );
}

function field(name: string, schema: FieldSchema, required: boolean, images: ImageFields): Field {
  const kind = kindOf(name, schema, images);
  const items = kind === "list" ? itemFields(schema.items ?? {}) : [];
  return { name, kind, required, schema, items };
}

function itemFields(items: JsonObject): Field[] {
  return Object.entries(items).map(([name, property]) =>
    field(name, property as unknown as FieldSchema, !hasUsableDefault(property), {}),
  );
}

/** An item's field says nothing of being required: an empty text as its default does. */
function hasUsableDefault(property: Json | undefined): boolean {
  return isObject(property) && property.default !== undefined && property.default !== "";
}

function kindOf(name: string, schema: FieldSchema, images: ImageFields): Kind {
  if (schema.type === "array") return schema.items?.format === "image_uri" ? "images" : "list";
  if (images[name]) return images[name];
  if (schema.format === "image_uri") return "image";
  if (schema.enum) return "choice";
  if (schema.type === "boolean") return "switch";
  if (schema.type === "string") return schema.format === "str" ? "line" : "text";
  return name === "seed" ? "seed" : "number";
}

/** What a number's slider moves by: whole numbers by one, others in about a hundred steps. */
export function stepOf(schema: FieldSchema): number {
  if (schema.type === "integer") return 1;
  const range = (schema.maximum ?? 1) - (schema.minimum ?? 0);
  return range > 10 ? 0.1 : range > 1 ? 0.05 : 0.01;
}

/** Seeds without a published range. */
export const LARGEST_SEED = 2 ** 53 - 1;
