/**
 * A mask being painted. Its canvas holds a tint wherever the picture will be repainted, at the picture's own
 * size as far as canvases reach; it belongs to the painting and to no component, so no re-render wipes it.
 */
import { signal } from "@preact/signals";

import { pngOf } from "../pictures";
import { around, touched, type Box } from "./box";
import { Past, type Change } from "./past";

/** More pixels than this a canvas cannot hold everywhere. */
const MOST_PIXELS = 4096 * 4096;
const REMEMBERED_PIXELS = 4 * MOST_PIXELS;
const TINT = "#f0f";

export interface Brush {
  /** In pixels of the picture. */
  diameter: number;
  erases: boolean;
}

export class Painting {
  readonly canvas: HTMLCanvasElement;
  /** Grows with every change: who has seen a version knows the mask. */
  readonly version = signal(0);
  readonly isEmpty = signal(true);
  private readonly scale: number;
  private readonly context: CanvasRenderingContext2D;
  private readonly past = new Past(REMEMBERED_PIXELS);
  private stroke: Stroke | null = null;

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.scale = Math.min(1, Math.sqrt(MOST_PIXELS / (width * height)));
    this.canvas = newCanvas(Math.round(width * this.scale), Math.round(height * this.scale));
    this.context = contextOf(this.canvas);
  }

  get canUndo(): boolean {
    return this.past.canUndo;
  }

  get canRedo(): boolean {
    return this.past.canRedo;
  }

  /** Put the brush down. pressure: 0 to 1, of a pen; others have 0.5. */
  begin(brush: Brush, x: number, y: number, pressure: number): void {
    this.end();
    this.stroke = new Stroke(this.canvas, { ...brush, diameter: brush.diameter * this.scale });
    this.stroke.to(x * this.scale, y * this.scale, pressure);
  }

  /** Draw the brush on. */
  extend(x: number, y: number, pressure: number): void {
    this.stroke?.to(x * this.scale, y * this.scale, pressure);
  }

  /** Lift the brush: the stroke is one change. */
  end(): void {
    const change = this.stroke?.change();
    this.stroke = null;
    if (change) this.remember(change);
  }

  /** Forget a stroke that was none: a second finger came down. */
  abandon(): void {
    this.stroke?.change()?.swap();
    this.stroke = null;
  }

  invert(): void {
    this.remember(this.inversion());
    this.flip();
    this.changed();
  }

  clear(): void {
    this.whole(() => this.context.clearRect(0, 0, this.canvas.width, this.canvas.height));
  }

  /** Take the mask that a picture shows: white is repainted, black kept; what is not painted at all is black. */
  load(picture: CanvasImageSource): void {
    const { width, height } = this.canvas;
    const shown = newCanvas(width, height);
    const context = contextOf(shown);
    context.fillRect(0, 0, width, height);
    context.drawImage(picture, 0, 0, width, height);
    const pixels = context.getImageData(0, 0, width, height);
    const { data } = pixels;
    for (let at = 0; at < data.length; at += 4) {
      const [red = 0, green = 0, blue = 0] = [data[at], data[at + 1], data[at + 2]];
      data[at + 3] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
      data[at] = data[at + 2] = 255;
      data[at + 1] = 0;
    }
    this.whole(() => this.context.putImageData(pixels, 0, 0));
  }

  undo(): void {
    this.past.undo();
    this.changed();
  }

  redo(): void {
    this.past.redo();
    this.changed();
  }

  /** The mask as a PNG of the picture's size: white is repainted, black is kept. */
  async export(): Promise<Blob> {
    const sheet = newCanvas(this.width, this.height);
    const context = contextOf(sheet);
    context.drawImage(this.canvas, 0, 0, this.width, this.height);
    context.globalCompositeOperation = "source-in";
    context.fillStyle = "#fff";
    context.fillRect(0, 0, this.width, this.height);
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.width, this.height);
    return pngOf(sheet);
  }

  private remember(change: Change): void {
    this.past.add(change);
    this.changed();
  }

  private changed(): void {
    this.isEmpty.value = this.looksEmpty();
    this.version.value += 1;
  }

  /** Change the whole canvas as one change. */
  private whole(draw: () => void): void {
    const box = { x: 0, y: 0, width: this.canvas.width, height: this.canvas.height };
    const change = patch(this.context, box, copyOf(this.canvas, box));
    draw();
    this.remember(change);
  }

  /** What was painted becomes free, and the other way round. */
  private flip(): void {
    this.context.globalCompositeOperation = "source-out";
    this.context.fillStyle = TINT;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.context.globalCompositeOperation = "source-over";
  }

  /** It is its own undoing and keeps no pixels. */
  private inversion(): Change {
    return {
      pixels: 0,
      swap: () => {
        this.flip();
        return this.inversion();
      },
    };
  }

  /** Judged on a small copy: a dot that does not show there is no mask. */
  private looksEmpty(): boolean {
    const small = newCanvas(Math.min(256, this.canvas.width), Math.min(256, this.canvas.height));
    const context = contextOf(small);
    context.drawImage(this.canvas, 0, 0, small.width, small.height);
    const { data } = context.getImageData(0, 0, small.width, small.height);
    for (let at = 3; at < data.length; at += 4) if (data[at]) return false;
    return true;
  }
}

/** A brush on its way over the canvas. */
class Stroke {
  private readonly context: CanvasRenderingContext2D;
  private readonly before: HTMLCanvasElement;
  private box: Box | null = null;
  private last: { x: number; y: number } | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly brush: Brush,
  ) {
    this.context = contextOf(canvas);
    this.before = copyOf(canvas, { x: 0, y: 0, width: canvas.width, height: canvas.height });
  }

  to(x: number, y: number, pressure: number): void {
    const diameter = Math.max(1, this.brush.diameter * (0.5 + pressure));
    const from = this.last ?? { x, y };
    this.box = around(this.box, touched(from.x, from.y, diameter, this.canvas.width, this.canvas.height));
    this.box = around(this.box, touched(x, y, diameter, this.canvas.width, this.canvas.height));
    const { context } = this;
    context.globalCompositeOperation = this.brush.erases ? "destination-out" : "source-over";
    context.strokeStyle = TINT;
    context.lineWidth = diameter;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(x, y);
    context.stroke();
    context.globalCompositeOperation = "source-over";
    this.last = { x, y };
  }

  change(): Change | null {
    return this.box && patch(this.context, this.box, copyOf(this.before, this.box));
  }
}

/** A change that puts pixels back where they were. */
function patch(context: CanvasRenderingContext2D, box: Box, pixels: HTMLCanvasElement): Change {
  return {
    pixels: box.width * box.height,
    swap: () => {
      const now = copyOf(context.canvas, box);
      context.clearRect(box.x, box.y, box.width, box.height);
      context.drawImage(pixels, box.x, box.y);
      return patch(context, box, now);
    },
  };
}

function copyOf(canvas: HTMLCanvasElement, box: Box): HTMLCanvasElement {
  const copy = newCanvas(box.width, box.height);
  contextOf(copy).drawImage(canvas, box.x, box.y, box.width, box.height, 0, 0, box.width, box.height);
  return copy;
}

function newCanvas(width: number, height: number): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("canvas");
  return context;
}
