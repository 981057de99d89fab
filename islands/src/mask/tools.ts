/** What is in the painter's hand. It outlives pictures. */
import { computed, signal } from "@preact/signals";

import type { Painting } from "./painting";
import { View } from "./view";

const GROWTH = 1.25;

export class Tools {
  readonly erases = signal(false);
  /** The brush's width as a share of the picture's longer side, so that it fits every picture. */
  readonly share = signal(0.08);
  readonly view = new View();

  static readonly SMALLEST = 0.003;
  static readonly LARGEST = 0.6;

  /** Where the brush's width lies between the smallest and the largest, from 0 to 100; equal steps look equal. */
  readonly position = computed(
    () => (100 * Math.log(this.share.value / Tools.SMALLEST)) / Math.log(Tools.LARGEST / Tools.SMALLEST),
  );

  place(position: number): void {
    this.share.value = Tools.SMALLEST * (Tools.LARGEST / Tools.SMALLEST) ** (position / 100);
  }

  grow(): void {
    this.share.value = Math.min(Tools.LARGEST, this.share.value * GROWTH);
  }

  shrink(): void {
    this.share.value = Math.max(Tools.SMALLEST, this.share.value / GROWTH);
  }

  /** The brush's width in pixels of a picture. */
  diameter(painting: Painting): number {
    return Math.max(1, this.share.value * Math.max(painting.width, painting.height));
  }
}

/** What a key does at the easel; null: nothing of ours. */
export function actionOf(event: KeyboardEvent): Action | null {
  const isCommand = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (isCommand) return key === "z" ? (event.shiftKey ? "redo" : "undo") : key === "y" ? "redo" : null;
  if (event.altKey) return null;
  return ACTIONS[key] ?? BY_PLACE[event.code] ?? null;
}

export type Action = "undo" | "redo" | "brush" | "eraser" | "grow" | "shrink" | "invert" | "clear" | "fit";

const ACTIONS: Record<string, Action> = {
  "[": "shrink",
  "]": "grow",
  b: "brush",
  e: "eraser",
  i: "invert",
  delete: "clear",
  backspace: "clear",
  "0": "fit",
};

/** The same keys where a keyboard types other letters (Korean). */
const BY_PLACE: Record<string, Action> = { KeyB: "brush", KeyE: "eraser", KeyI: "invert" };

export function perform(action: Action, tools: Tools, painting: Painting): void {
  const acts: Record<Action, () => void> = {
    undo: () => painting.undo(),
    redo: () => painting.redo(),
    brush: () => (tools.erases.value = false),
    eraser: () => (tools.erases.value = true),
    grow: () => tools.grow(),
    shrink: () => tools.shrink(),
    invert: () => painting.invert(),
    clear: () => painting.clear(),
    fit: () => tools.view.reset(),
  };
  acts[action]();
}
