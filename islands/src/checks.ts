/** What can be told before anything is sent; the server's own verdict comes after, in the same places. */
import { say } from "./page";
import type { Picture } from "./pictures";
import type { Field, Validation } from "./schema";
import { isPicture, picturesOf, type Item, type Value, type Values } from "./values";

/** A message for each field that does not fit, by `prompt`, `image_urls[0]` or `loras[0].path`. */
export type Problems = Record<string, string>;

export function problemsOf(fields: Field[], values: Values): Problems {
  const found: Problems = {};
  for (const field of fields) checkField(field, values[field.name] ?? null, field.name, found);
  return found;
}

function checkField(field: Field, value: Value, name: string, found: Problems): void {
  const { schema } = field;
  const problem = (message: string) => {
    found[name] ??= message;
  };
  switch (field.kind) {
    case "text":
    case "line": {
      const text = String(value ?? "");
      if (field.required && !text.trim()) problem(say("must_not_be_empty"));
      // The server counts characters, JavaScript counts halves of some.
      const length = [...text].length;
      if (schema.maxLength !== undefined && length > schema.maxLength) {
        problem(say("at_most_characters", { most: schema.maxLength, count: length }));
      }
      return;
    }
    case "number":
    case "seed":
      return checkNumber(field, value, problem);
    case "image":
    case "mask":
      if (!isPicture(value)) {
        if (field.required) problem(field.kind === "mask" ? say("paint_or_load_a_mask") : say("choose_a_picture"));
      } else if (value.problem) problem(value.problem);
      return;
    case "images":
      checkCount(field, picturesOf(value).length, problem);
      picturesOf(value).forEach((picture, at) => {
        if (picture.problem) found[`${name}[${at}]`] = picture.problem;
      });
      return;
    case "list": {
      const items = (Array.isArray(value) ? value : []) as Item[];
      checkCount(field, items.length, problem);
      items.forEach((item, at) =>
        field.items.forEach((part) => checkField(part, item[part.name] ?? null, `${name}[${at}].${part.name}`, found)),
      );
    }
  }
}

function checkNumber(field: Field, value: Value, problem: (message: string) => void): void {
  const { minimum, maximum, type } = field.schema;
  if (value === null) {
    if (field.kind !== "seed") problem(say("must_be_a_number"));
    return;
  }
  const number = Number(value);
  if (type === "integer" && !Number.isInteger(number)) return problem(say("must_be_whole"));
  const low = minimum ?? (field.kind === "seed" ? 0 : -Infinity);
  if (number < low || number > (maximum ?? Infinity)) {
    problem(
      maximum === undefined ? say("must_be_at_least", { low }) : say("must_be_between", { low, high: maximum }),
    );
  }
}

function checkCount(field: Field, count: number, problem: (message: string) => void): void {
  const { minItems, maxItems } = field.schema;
  if (count < (minItems ?? 0)) problem(say("at_least_items", { least: minItems ?? 0 }));
  if (count > (maxItems ?? Infinity)) problem(say("at_most_items", { most: maxItems ?? 0 }));
}

const MEGABYTE = 2 ** 20;
const LARGEST_FILE = 50_000_000;
const LARGEST_SIDE = 16_384;
const MOST_PIXELS = 64_000_000;

/** Judge a picture by a field's rules, as the server will; the first that is broken speaks. */
export function broken(
  picture: Pick<Picture, "width" | "height"> & { bytes: number },
  rules: Validation[],
): string | undefined {
  const measures: Record<string, (limit: number) => boolean> = {
    "file_size_mb<": (limit) => picture.bytes >= limit * MEGABYTE,
    "width_pixels>": (limit) => picture.width < limit,
    "height_pixels>": (limit) => picture.height < limit,
    "width_pixels<": (limit) => picture.width > limit,
    "height_pixels<": (limit) => picture.height > limit,
  };
  const rule = rules.find((one) => measures[one.validation_rule]?.(one.validation_value));
  if (rule) return rule.validation_error;
  if (picture.bytes > LARGEST_FILE) return say("file_too_large", { most: LARGEST_FILE / 1_000_000 });
  if (Math.max(picture.width, picture.height) > LARGEST_SIDE || picture.width * picture.height > MOST_PIXELS) {
    return say("too_many_pixels", { side: LARGEST_SIDE, most: MOST_PIXELS / 1_000_000 });
  }
  return undefined;
}
