/** How the easel is looked at: zoomed and moved, by wheel, fingers and buttons. */
import { computed, signal } from "@preact/signals";

export interface Point {
  x: number;
  y: number;
}

const LARGEST = 16;

export class View {
  readonly scale = signal(1);
  readonly offset = signal<Point>({ x: 0, y: 0 });
  readonly transform = computed(
    () => `translate(${this.offset.value.x}px, ${this.offset.value.y}px) scale(${this.scale.value})`,
  );

  /** Zoom so that what lies at a point stays there. The point is measured from the frame's centre. */
  zoom(factor: number, at: Point = { x: 0, y: 0 }): void {
    const before = this.scale.value;
    const scale = Math.min(LARGEST, Math.max(1, before * factor));
    const ratio = scale / before;
    const { x, y } = this.offset.value;
    this.scale.value = scale;
    this.offset.value = scale === 1 ? { x: 0, y: 0 } : { x: at.x - (at.x - x) * ratio, y: at.y - (at.y - y) * ratio };
  }

  move(by: Point): void {
    if (this.scale.value === 1) return;
    const { x, y } = this.offset.value;
    this.offset.value = { x: x + by.x, y: y + by.y };
  }

  reset(): void {
    this.scale.value = 1;
    this.offset.value = { x: 0, y: 0 };
  }
}

/** Two fingers: how far apart, and around which point. */
export function pinchOf(one: Point, other: Point): { distance: number; centre: Point } {
  return {
    distance: Math.hypot(one.x - other.x, one.y - other.y),
    centre: { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2 },
  };
}
