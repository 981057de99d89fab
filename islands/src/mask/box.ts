/** A rectangle of whole pixels that grows with what is painted. */

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The pixels that a round brush touches at a point, within a canvas. null: none. */
export function touched(x: number, y: number, diameter: number, width: number, height: number): Box | null {
  const reach = diameter / 2 + 1; // one more for soft edges
  const left = Math.max(0, Math.floor(x - reach));
  const top = Math.max(0, Math.floor(y - reach));
  const right = Math.min(width, Math.ceil(x + reach));
  const bottom = Math.min(height, Math.ceil(y + reach));
  return right > left && bottom > top ? { x: left, y: top, width: right - left, height: bottom - top } : null;
}

/** The smallest box around both. */
export function around(one: Box | null, other: Box | null): Box | null {
  if (!one || !other) return one ?? other;
  const x = Math.min(one.x, other.x);
  const y = Math.min(one.y, other.y);
  return {
    x,
    y,
    width: Math.max(one.x + one.width, other.x + other.width) - x,
    height: Math.max(one.y + one.height, other.y + other.height) - y,
  };
}
