import { beforeAll, expect, test } from "vitest";

import { broken, problemsOf } from "../src/checks";
import { startValue, type Values } from "../src/values";
import { loadPlainPage } from "./page";
import { CONTROLNET, IMAGES, INPAINTING, named, published, WAN } from "./schemas";

beforeAll(loadPlainPage);

function problems(model: string, values: Values): string[] {
  const fields = published(model, IMAGES);
  const start = Object.fromEntries(fields.map((field) => [field.name, startValue(field)]));
  return Object.keys(problemsOf(fields, { ...start, image_url: null, mask_image_url: null, image_urls: [], ...values }));
}

test("what is missing is named by its field", () => {
  expect(problems(INPAINTING, { prompt: "  " })).toEqual(["prompt", "image_url", "mask_image_url"]);
  expect(problems(WAN, {})).toEqual(["image_urls"]);
});

test("a field within a list is named as the server names it", () => {
  const picture = { address: "a", shown: "", name: "", width: 1, height: 1 };
  const loras = [
    { path: "some/lora", scale: 5 },
    { path: "", scale: 1 },
  ];
  expect(problems(CONTROLNET, { image_url: picture, loras })).toEqual(["loras[0].scale", "loras[1].path"]);
});

test("numbers keep to their range and to being whole", () => {
  expect(problems(INPAINTING, { strength: 1.5 })).toContain("strength");
  expect(problems(INPAINTING, { num_inference_steps: 2.5 })).toContain("num_inference_steps");
  expect(problems(INPAINTING, { num_inference_steps: null })).toContain("num_inference_steps");
  expect(problems(INPAINTING, { seed: null })).not.toContain("seed");
  expect(problems(INPAINTING, { seed: -1 })).toContain("seed");
});

test("a text is measured in characters, as the server counts them", () => {
  expect(problems(WAN, { negative_prompt: "🏠".repeat(500) })).not.toContain("negative_prompt");
  expect(problems(WAN, { negative_prompt: "🏠".repeat(501) })).toContain("negative_prompt");
});

test("a picture's rules speak in the page's language, and their limits are allowed", () => {
  const rules = named(published(WAN), "image_urls").schema.validations ?? [];
  const judged = (width: number, height: number, bytes = 1) => broken({ width, height, bytes }, rules);
  expect(judged(384, 5000)).toBeUndefined();
  expect(judged(383, 1000)).toBe("각 이미지 변은 최소 384픽셀이어야 합니다.");
  expect(judged(1000, 5001)).toBe("각 이미지 변은 최대 5000픽셀이어야 합니다.");
  expect(judged(1000, 1000, 10 * 2 ** 20)).toBe("파일 크기는 10MB 미만이어야 합니다.");
});

test("every picture keeps to what the server takes at all", () => {
  expect(broken({ width: 8000, height: 8000, bytes: 50_000_000 }, [])).toBeUndefined();
  expect(broken({ width: 8001, height: 8000, bytes: 1 }, [])).toBe("too_many_pixels");
  expect(broken({ width: 1, height: 1, bytes: 50_000_001 }, [])).toBe("file_too_large");
});
