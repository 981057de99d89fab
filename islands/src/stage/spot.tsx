/** Where the picture is: all the room that nothing else on the stage takes. */
import type { ComponentChildren } from "preact";

export function Spot({ kind = "", children }: { kind?: string; children: ComponentChildren }) {
  return (
    <div class="spot">
      <div class={`stand ${kind}`}>{children}</div>
    </div>
  );
}
