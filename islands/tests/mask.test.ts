import { expect, test } from "vitest";

import { around, touched } from "../src/mask/box";
import { Past, type Change } from "../src/mask/past";
import { actionOf } from "../src/mask/tools";
import { View } from "../src/mask/view";

/** A list whose last item a change puts there and takes away. */
function adding(list: string[], item: string, pixels = 1): Change {
  return {
    pixels,
    swap: () => {
      const wasThere = list.includes(item);
      if (wasThere) list.splice(list.indexOf(item), 1);
      else list.push(item);
      return adding(list, item, pixels);
    },
  };
}

test("what was done is undone in reverse, and done again", () => {
  const past = new Past(100);
  const list = ["a", "b"];
  past.add(adding(list, "a"));
  past.add(adding(list, "b"));
  past.undo();
  expect(list).toEqual(["a"]);
  past.undo();
  expect(list).toEqual([]);
  expect(past.canUndo).toBe(false);
  past.redo();
  past.redo();
  expect(list).toEqual(["a", "b"]);
});

test("a new change ends what could be done again", () => {
  const past = new Past(100);
  const list = ["a"];
  past.add(adding(list, "a"));
  past.undo();
  past.add(adding(list, "b"));
  expect(past.canRedo).toBe(false);
});

test("the oldest changes are forgotten when they hold too much, the last one never", () => {
  const past = new Past(100);
  past.add(adding([], "a", 60));
  past.add(adding([], "b", 60));
  past.undo();
  expect(past.canUndo).toBe(false);
  past.add(adding([], "c", 1000));
  expect(past.canUndo).toBe(true);
});

test("a brush touches the pixels around it, within the canvas", () => {
  expect(touched(10, 10, 4, 100, 100)).toEqual({ x: 7, y: 7, width: 6, height: 6 });
  expect(touched(0, 0, 4, 100, 100)).toEqual({ x: 0, y: 0, width: 3, height: 3 });
  expect(touched(-50, 0, 4, 100, 100)).toBeNull();
  expect(around({ x: 0, y: 0, width: 1, height: 1 }, { x: 9, y: 4, width: 1, height: 1 })).toEqual({
    x: 0,
    y: 0,
    width: 10,
    height: 5,
  });
});

test("zooming keeps what lies under the pointer", () => {
  const view = new View();
  const onSheet = (at: number) => (at - view.offset.value.x) / view.scale.value;
  const before = onSheet(120);
  view.zoom(3, { x: 120, y: 0 });
  expect(onSheet(120)).toBeCloseTo(before);
  view.zoom(1 / 100);
  expect(view.transform.value).toBe("translate(0px, 0px) scale(1)");
});

test("keys mean the same on a keyboard that types Korean", () => {
  const key = (key: string, code = "", more = {}) => actionOf({ key, code, ...more } as KeyboardEvent);
  expect(key("ㅠ", "KeyB")).toBe("brush");
  expect(key("[")).toBe("shrink");
  expect(key("z", "KeyZ", { ctrlKey: true })).toBe("undo");
  expect(key("Z", "KeyZ", { metaKey: true, shiftKey: true })).toBe("redo");
  expect(key("c", "KeyC", { ctrlKey: true })).toBeNull();
});
