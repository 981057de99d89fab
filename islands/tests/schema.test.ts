import { expect, test } from "vitest";

import { stepOf } from "../src/schema";
import { newItem, startValue } from "../src/values";
import { CONTROLNET, IMAGES, INPAINTING, named, OVIS, published, WAN } from "./schemas";

test("every published field is filled in by a kind of control that fits it", () => {
  const kinds = (model: string) => Object.fromEntries(published(model, IMAGES).map(({ name, kind }) => [name, kind]));
  expect(kinds(INPAINTING)).toEqual({
    prompt: "text",
    image_url: "image",
    mask_image_url: "mask",
    control_start: "number",
    strength: "number",
    loras: "list",
    image_size: "choice",
    num_inference_steps: "number",
    seed: "seed",
    output_format: "choice",
    control_scale: "number",
    control_end: "number",
  });
  expect(kinds(WAN)).toMatchObject({ image_urls: "images", prompt_extend: "switch", negative_prompt: "text" });
});

test("the items of a list have fields of their own, and an empty example makes one required", () => {
  const loras = named(published(CONTROLNET), "loras");
  expect(loras.items.map(({ name, kind, required }) => [name, kind, required])).toEqual([
    ["path", "line", true],
    ["scale", "number", false],
  ]);
  expect(newItem(loras)).toEqual({ path: "", scale: 1 });
});

test("a null seed starts empty, and a list without a default starts empty", () => {
  expect(startValue(named(published(OVIS), "seed"))).toBeNull();
  expect(startValue(named(published(INPAINTING), "loras"))).toEqual([]);
});

test("sliders move by whole numbers where those are asked for", () => {
  const fields = published(INPAINTING);
  expect(stepOf(named(fields, "num_inference_steps").schema)).toBe(1);
  expect(stepOf(named(fields, "strength").schema)).toBe(0.01);
  expect(stepOf(named(fields, "loras").items[1]!.schema)).toBe(0.05);
});
