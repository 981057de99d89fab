/** The published schemas, as the server's own tests hold them. */
import { readFileSync } from "node:fs";

import { fieldsOf, type Field, type ImageFields, type InputSchema } from "../src/schema";

const FOLDER = new URL("../../tests/data/schemas/", import.meta.url);

export function published(model: string, images: ImageFields = {}): Field[] {
  const text = readFileSync(new URL(`${model}.input.json`, FOLDER), "utf8");
  return fieldsOf(JSON.parse(text) as InputSchema, images);
}

export const INPAINTING = "tongyi-mai__z-image__turbo__inpainting__lora";
export const CONTROLNET = "tongyi-mai__z-image__turbo__controlnet__lora";
export const WAN = "wan-ai__wan-2-6__image-to-image";
export const OVIS = "aidc-ai__ovis-image";
export const IMAGES: ImageFields = { image_url: "image", mask_image_url: "mask" };

export function named(fields: Field[], name: string): Field {
  const found = fields.find((field) => field.name === name);
  if (!found) throw new Error(name);
  return found;
}
