/** A slider whose filled part is drawn by the page, the same in every browser and in the dark. */
import type { TargetedInputEvent } from "preact";

interface Props {
  label: string;
  min: number;
  max: number;
  step: number;
  value: number;
  valueText?: string;
  title?: string;
  onSlide: (value: number) => void;
}

export function Slider({ label, min, max, step, value, valueText, title, onSlide }: Props) {
  const filled = Math.min(100, Math.max(0, (100 * (value - min)) / (max - min)));
  return (
    <input
      type="range"
      class="slider"
      aria-label={label}
      aria-valuetext={valueText}
      title={title}
      min={min}
      max={max}
      step={step}
      value={value}
      style={{ "--filled": `${filled}%` }}
      onInput={(event: TargetedInputEvent<HTMLInputElement>) => onSlide(event.currentTarget.valueAsNumber)}
    />
  );
}
