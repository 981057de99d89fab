/** What can be undone and done again, within a bound on memory. */

/** One change. `swap` takes it back, and gives what brings it on again. */
export interface Change {
  /** What it keeps in memory, in pixels. */
  pixels: number;
  swap(): Change;
}

export class Past {
  private done: Change[] = [];
  private undone: Change[] = [];

  constructor(private readonly mostPixels: number) {}

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** Remember a change that was just made; what was undone before it is gone. */
  add(change: Change): void {
    this.undone = [];
    this.done.push(change);
    let held = this.done.reduce((sum, one) => sum + one.pixels, 0);
    while (held > this.mostPixels && this.done.length > 1) held -= this.done.shift()?.pixels ?? 0;
  }

  undo(): void {
    const change = this.done.pop();
    if (change) this.undone.push(change.swap());
  }

  redo(): void {
    const change = this.undone.pop();
    if (change) this.done.push(change.swap());
  }
}
