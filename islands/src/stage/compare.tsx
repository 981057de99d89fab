/** Before and after in one frame, with a border between them that moves. */
import { useSignal } from "@preact/signals";

import { say } from "../page";
import { Spot } from "./spot";

interface Props {
  before: string;
  after: string;
  /** What the result shows. */
  alt: string;
  /** The result is no more. */
  onGone: () => void;
}

export function Compare({ before, after, alt, onGone }: Props) {
  const at = useSignal(50);
  const isBroken = useSignal(false);
  /** Width over height of what came out; 0: it has not come yet. */
  const ratio = useSignal(0);
  const canCompare = before && !isBroken.value;
  return (
    <Spot>
      <div class="compare" hidden={!ratio.value} style={{ "--at": `${at.value}%`, "--ratio": ratio.value }}>
        <img
          class="after"
          src={after}
          alt={alt}
          translate={false}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) => {
            ratio.value = naturalWidth / naturalHeight;
          }}
          onError={onGone}
        />
        {canCompare && (
          <>
            <img
              class="before"
              src={before}
              alt=""
              onError={() => {
                isBroken.value = true;
              }}
            />
            <input
              type="range"
              min="0"
              max="100"
              step="any"
              value={at.value}
              aria-label={say("compare")}
              aria-valuetext={say("compare_at", { percent: Math.round(at.value) })}
              onInput={(event) => {
                at.value = event.currentTarget.valueAsNumber;
              }}
              onKeyDown={(event) => {
                const step = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2 }[event.key];
                if (!step) return;
                event.preventDefault();
                at.value = Math.min(100, Math.max(0, at.value + step));
              }}
            />
            <span class="border" aria-hidden="true" />
            <span class="corner left" aria-hidden="true">
              {say("before")}
            </span>
            <span class="corner right" aria-hidden="true">
              {say("after")}
            </span>
          </>
        )}
      </div>
    </Spot>
  );
}
