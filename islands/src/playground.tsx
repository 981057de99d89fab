/** The playground of one model: the form on one side, the picture in the middle, what ran below it. */
import { render } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { App } from "./app";
import { InputForm } from "./form/form";
import "./playground.css";
import { page } from "./page";
import { Stage } from "./stage/stage";
import { Strip } from "./strip";

function Playground() {
  const app = useMemo(() => new App(page()), []);
  useEffect(() => takeFilesAnywhere(app), [app]);
  return (
    <>
      <div class="middle">
        <Stage app={app} />
        <Strip app={app} />
      </div>
      <InputForm app={app} />
    </>
  );
}

/** Pictures may be dropped and pasted wherever one is on the page. */
function takeFilesAnywhere(app: App): () => void {
  const ended = new AbortController();
  const { signal } = ended;
  const isFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  const show = (isOver: boolean) => document.documentElement.classList.toggle("dropping", isOver);
  addEventListener(
    "dragover",
    (event) => {
      if (!isFiles(event)) return;
      event.preventDefault();
      show(true);
    },
    { signal },
  );
  addEventListener("dragleave", (event) => event.relatedTarget === null && show(false), { signal });
  addEventListener(
    "drop",
    (event) => {
      show(false);
      if (!isFiles(event)) return;
      event.preventDefault();
      void app.bring([...(event.dataTransfer?.files ?? [])], fieldAt(event.target));
    },
    { signal },
  );
  addEventListener(
    "paste",
    (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) void app.bring(files, fieldAt(event.target));
    },
    { signal },
  );
  return () => ended.abort();
}

function fieldAt(target: EventTarget | null): string | undefined {
  const holder = target instanceof Element ? target.closest<HTMLElement>("[data-field]") : null;
  return holder?.dataset.field;
}

const place = document.getElementById("playground");
if (place) render(<Playground />, place);
