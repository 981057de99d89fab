import { expect, test } from "vitest";

import type { Picture } from "../src/pictures";
import { bodyOf, startValue, type Values } from "../src/values";
import { CONTROLNET, IMAGES, INPAINTING, OVIS, published, WAN } from "./schemas";

const picture = (address: string): Picture => ({ address, shown: "", name: "", width: 0, height: 0 });

function startOf(model: string): Values {
  return Object.fromEntries(published(model, IMAGES).map((field) => [field.name, startValue(field)]));
}

test("the body has what is required and what differs from its default, and nothing else", () => {
  const values = { ...startOf(INPAINTING), prompt: "a tent", image_url: picture("a"), mask_image_url: picture("b") };
  expect(bodyOf(published(INPAINTING, IMAGES), values)).toEqual({
    prompt: "a tent",
    image_url: "a",
    mask_image_url: "b",
  });
  expect(bodyOf(published(INPAINTING, IMAGES), { ...values, strength: 0.5, seed: null })).toMatchObject({
    strength: 0.5,
    seed: null,
  });
});

test("a required list is sent as it is, its example too", () => {
  const body = bodyOf(published(CONTROLNET, IMAGES), { ...startOf(CONTROLNET), image_url: picture("a") });
  expect(body.loras).toEqual([{ path: "alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union", scale: 1 }]);
  expect(bodyOf(published(CONTROLNET, IMAGES), { ...startOf(CONTROLNET), loras: [] }).loras).toEqual([]);
});

test("a seed that is null by default is left out while it is empty", () => {
  expect(bodyOf(published(OVIS), startOf(OVIS))).not.toHaveProperty("seed");
  expect(bodyOf(published(OVIS), { ...startOf(OVIS), seed: 0 }).seed).toBe(0);
});

test("several pictures keep their order", () => {
  const values = { ...startOf(WAN), image_urls: [picture("two"), picture("one")] };
  expect(bodyOf(published(WAN), values).image_urls).toEqual(["two", "one"]);
});
