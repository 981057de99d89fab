/** The picture with its mask over it, under a brush: mouse, pen, fingers and keys. */
import { useEffect, useRef } from "preact/hooks";

import { say } from "../page";
import type { Painting } from "./painting";
import { actionOf, perform, type Tools } from "./tools";
import { pinchOf, type Point } from "./view";

interface Props {
  painting: Painting;
  tools: Tools;
  /** The picture's address. */
  shown: string;
}

const ARROWS: Record<string, Point> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

export function Easel({ painting, tools, shown }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const sheet = useRef<HTMLDivElement>(null);
  const ring = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!frame.current || !sheet.current || !ring.current) return;
    sheet.current.insertBefore(painting.canvas, ring.current);
    const hand = new Hand(frame.current, sheet.current, ring.current, painting, tools);
    return () => {
      hand.leave();
      painting.canvas.remove();
    };
  }, [painting]);

  return (
    <div
      class="easel"
      ref={frame}
      tabIndex={0}
      role="application"
      aria-label={say("easel")}
      aria-describedby="easel-keys"
    >
      <div
        class="sheet"
        ref={sheet}
        style={{ "--ratio": String(painting.width / painting.height), transform: tools.view.transform.value }}
      >
        <img src={shown} alt="" draggable={false} />
        <div class="ring" ref={ring} hidden />
      </div>
      <p class="hidden-text" id="easel-keys">
        {say("easel_keys")}
      </p>
    </div>
  );
}

/** Turns what pointers and keys do into strokes, outside of rendering: it happens hundreds of times a second. */
class Hand {
  private readonly ended = new AbortController();
  /** Fingers and buttons that are down, by pointer. */
  private readonly down = new Map<number, Point>();
  private isPainting = false;
  private isMoving = false;
  /** Where the keyboard's brush is, in pixels of the picture. */
  private at: Point;
  private isKeyDown = false;

  constructor(
    private readonly frame: HTMLElement,
    private readonly sheet: HTMLElement,
    private readonly ring: HTMLElement,
    private readonly painting: Painting,
    private readonly tools: Tools,
  ) {
    this.at = { x: painting.width / 2, y: painting.height / 2 };
    const on = <Name extends keyof HTMLElementEventMap>(name: Name, act: (event: HTMLElementEventMap[Name]) => void) =>
      frame.addEventListener(name, act, { signal: this.ended.signal, passive: false });
    on("pointerdown", (event) => this.press(event));
    on("pointermove", (event) => this.drag(event));
    on("pointerup", (event) => this.lift(event));
    on("pointercancel", (event) => this.lift(event));
    on("pointerleave", () => this.showRing(null));
    on("wheel", (event) => this.wheel(event));
    on("keydown", (event) => this.key(event));
    on("keyup", (event) => this.keyUp(event));
    on("blur", () => this.rest());
    on("contextmenu", (event) => event.preventDefault());
  }

  leave(): void {
    this.rest();
    this.ended.abort();
  }

  private press(event: PointerEvent): void {
    if (event.pointerType === "mouse" && event.button > 1) return;
    event.preventDefault();
    this.frame.focus({ preventScroll: true });
    this.frame.setPointerCapture(event.pointerId);
    this.down.set(event.pointerId, this.fromCentre(event));
    if (this.down.size === 2) {
      this.painting.abandon(); // the first finger's dot was the start of a pinch
      this.isPainting = false;
      this.isMoving = true;
      this.showRing(null);
    } else if (event.button === 1) {
      this.isMoving = true;
    } else if (this.down.size === 1) {
      this.isPainting = true;
      const { x, y } = this.onPicture(event);
      this.painting.begin(this.brush(event), x, y, pressureOf(event));
      this.showRing({ x, y });
    }
  }

  private drag(event: PointerEvent): void {
    if (this.isPainting) {
      const points = event.getCoalescedEvents();
      for (const one of points.length ? points : [event]) {
        const { x, y } = this.onPicture(one);
        this.painting.extend(x, y, pressureOf(one));
      }
    } else if (this.isMoving) {
      this.travel(event);
    }
    if (event.pointerType !== "touch" || this.isPainting) this.showRing(this.onPicture(event));
  }

  /** One pointer moves the picture, two also zoom it. */
  private travel(event: PointerEvent): void {
    const before = [...this.down.values()];
    if (!this.down.has(event.pointerId)) return;
    this.down.set(event.pointerId, this.fromCentre(event));
    const after = [...this.down.values()];
    const [one, other] = before;
    const [oneNow, otherNow] = after;
    if (!one || !oneNow) return;
    if (!other || !otherNow) {
      this.tools.view.move({ x: oneNow.x - one.x, y: oneNow.y - one.y });
      return;
    }
    const was = pinchOf(one, other);
    const is = pinchOf(oneNow, otherNow);
    this.tools.view.zoom(is.distance / was.distance, is.centre);
    this.tools.view.move({ x: is.centre.x - was.centre.x, y: is.centre.y - was.centre.y });
  }

  private lift(event: PointerEvent): void {
    this.down.delete(event.pointerId);
    if (this.isPainting) this.painting.end();
    this.isPainting = false;
    if (!this.down.size) this.isMoving = false;
  }

  private wheel(event: WheelEvent): void {
    const isZoomed = this.tools.view.scale.value > 1;
    if (!event.ctrlKey && !event.metaKey && !isZoomed) return; // the page scrolls
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) this.tools.view.zoom(Math.exp(-event.deltaY / 200), this.fromCentre(event));
    else this.tools.view.move({ x: -event.deltaX, y: -event.deltaY });
  }

  private key(event: KeyboardEvent): void {
    const arrow = ARROWS[event.key];
    const action = actionOf(event);
    if (!arrow && !action && event.key !== " ") return;
    event.preventDefault();
    if (action) perform(action, this.tools, this.painting);
    if (arrow) this.step(arrow, event.shiftKey);
    else if (event.key === " " && !this.isKeyDown) {
      this.isKeyDown = true;
      this.painting.begin(this.brush(), this.at.x, this.at.y, 0.5);
    }
    this.showRing(this.at);
  }

  private keyUp(event: KeyboardEvent): void {
    if (event.key === " ") this.rest();
  }

  private rest(): void {
    if (this.isKeyDown || this.isPainting) this.painting.end();
    this.isKeyDown = this.isPainting = false;
    this.showRing(null);
  }

  /** Arrows go a third of a brush; with Shift one pixel. */
  private step(by: Point, isFine: boolean): void {
    const { width, height } = this.painting;
    const far = isFine ? 1 : this.tools.diameter(this.painting) / 3;
    this.at = {
      x: Math.min(width, Math.max(0, this.at.x + by.x * far)),
      y: Math.min(height, Math.max(0, this.at.y + by.y * far)),
    };
    if (this.isKeyDown) this.painting.extend(this.at.x, this.at.y, 0.5);
  }

  /** A pen's other end and its eraser button erase, whatever tool is chosen. */
  private brush(event?: PointerEvent): { diameter: number; erases: boolean } {
    const isEraserEnd = event?.pointerType === "pen" && (event.buttons & 32) !== 0;
    return { diameter: this.tools.diameter(this.painting), erases: this.tools.erases.value || isEraserEnd };
  }

  private showRing(at: Point | null): void {
    this.ring.hidden = !at;
    if (!at) return;
    const { width, height } = this.painting;
    const { style } = this.ring;
    style.left = `${(100 * at.x) / width}%`;
    style.top = `${(100 * at.y) / height}%`;
    style.width = `${(100 * this.tools.diameter(this.painting)) / width}%`;
    this.ring.classList.toggle("erases", this.tools.erases.value);
  }

  private onPicture(event: MouseEvent): Point {
    const box = this.sheet.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * this.painting.width) / box.width,
      y: ((event.clientY - box.top) * this.painting.height) / box.height,
    };
  }

  private fromCentre(event: MouseEvent): Point {
    const box = this.frame.getBoundingClientRect();
    return { x: event.clientX - box.left - box.width / 2, y: event.clientY - box.top - box.height / 2 };
  }
}

/** Mice and fingers have no pressure of their own. */
function pressureOf(event: PointerEvent): number {
  return event.pointerType === "pen" && event.pressure > 0 ? event.pressure : 0.5;
}
