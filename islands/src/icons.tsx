/** Small drawings on buttons; the words are always beside them or in a label. */

const PATHS = {
  brush: "M14.5 3.5 20.5 9.5 10 17l-3-3zM6 15c-2 0-3 1.6-3 3.2 0 1-.6 1.8-1 2.3 3 .6 6.5 0 6.5-3A2.6 2.6 0 0 0 6 15z",
  eraser: "M9 20h11M5.5 18.5 3 16a1.7 1.7 0 0 1 0-2.4L13 3.6a1.7 1.7 0 0 1 2.4 0l5 5a1.7 1.7 0 0 1 0 2.4L11.5 20H8zM8.5 8.5l7 7",
  undo: "M8 5 3.5 9.5 8 14M4 9.5h10a6 6 0 0 1 0 12h-3",
  redo: "M16 5l4.5 4.5L16 14M20 9.5H10a6 6 0 0 0 0 12h3",
  invert: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 3v18M12 7h7M12 11h9M12 15h8.4M12 19h5",
  trash: "M4 6.5h16M9 6V3.5h6V6M6 6.5 7 21h10l1-14.5M10 10.5v6.5M14 10.5v6.5",
  upload: "M12 16V4M7 8.5 12 3.5l5 5M4 15v5h16v-5",
  download: "M12 4v12M7 11.5l5 5 5-5M4 17v3h16v-3",
  dice: "M4 4h16v16H4zM8.5 8.5h.01M15.5 8.5h.01M12 12h.01M8.5 15.5h.01M15.5 15.5h.01",
  copy: "M9 9h11v12H9zM15 9V3H4v12h5",
  code: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  again: "M20 11a8 8 0 1 0-2.3 6.3M20 4v7h-7",
  input: "M3 12h11M10 7.5 14.5 12 10 16.5M14 4h6v16h-6",
  stop: "M6 6h12v12H6z",
  recall: "M3 12a9 9 0 1 0 3-6.7L3 8M3 3v5h5M12 7.5V12l3.5 2",
  check: "M4.5 12.5l5 5L19.5 7",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="glyph" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
