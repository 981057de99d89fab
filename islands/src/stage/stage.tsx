/** The middle of the page: the picture, and what becomes of it. */
import { useEffect, useRef } from "preact/hooks";

import type { App } from "../app";
import { Easel } from "../mask/easel";
import { Toolbar } from "../mask/toolbar";
import { say } from "../page";
import { picturesOf } from "../values";
import { Ended } from "./ended";
import { Outcome } from "./outcome";
import { pictureIn } from "./picture-in";
import { Spot } from "./spot";
import { Waiting } from "./waiting";

/** Where the form lies below the stage; the same as in the stylesheet. */
const NARROW = "(max-width: 60rem)";

export function Stage({ app }: { app: App }) {
  const element = useRef<HTMLElement>(null);
  const job = app.job.value;
  const isResult = app.view.value === "result" && job;
  useEffect(() => {
    // On a phone it lies above the form, out of sight, and what Run started is half covered by its bar.
    if (job) element.current?.scrollIntoView({ block: matchMedia(NARROW).matches ? "start" : "nearest" });
  }, [job]);
  return (
    <section class="stage" ref={element} aria-label={say("stage")}>
      <Views app={app} />
      {isResult ? <Run app={app} /> : <Subject app={app} />}
      <Announcer app={app} />
    </section>
  );
}

/** Between what goes in and what came out. */
function Views({ app }: { app: App }) {
  const { form } = app;
  if (!app.job.value || !form.picture) return null;
  const view = (name: "picture" | "result", text: string) => (
    <button
      type="button"
      aria-pressed={app.view.value === name}
      onClick={() => {
        app.view.value = name;
      }}
    >
      {text}
    </button>
  );
  return (
    <div class="views segments" role="group" aria-label={say("stage")}>
      {view("picture", form.mask ? say("view_mask") : say("view_picture"))}
      {view("result", say("view_result"))}
    </div>
  );
}

function Subject({ app }: { app: App }) {
  const { form, tools } = app;
  const painting = form.painting.value;
  const pictures = form.picture ? picturesOf(form.value(form.picture)) : [];
  const [picture] = pictures;
  if (painting && picture?.shown) {
    return (
      <>
        <Toolbar painting={painting} tools={tools} />
        <div class="spot">
          <Easel painting={painting} tools={tools} shown={picture.shown} />
        </div>
        <p class="stage-hint small">{say("mask_hint")}</p>
      </>
    );
  }
  if (pictures.some((one) => one.shown)) {
    return (
      <Spot kind={pictures.length > 1 ? "several" : ""}>
        {pictures.map((one) => one.shown && <img key={one.shown} src={one.shown} alt={one.name} translate={false} />)}
      </Spot>
    );
  }
  return <Nothing app={app} />;
}

/** Nothing to look at yet. */
function Nothing({ app }: { app: App }) {
  const { form, page } = app;
  return (
    <Spot kind="nothing">
      <svg class="glyph" viewBox="0 0 48 48" width="72" height="72" aria-hidden="true">
        <path d="M6 9h36v30H6zM6 33l10-10 8 8 6-6 12 11M31 19a3 3 0 1 0 0-.1" />
      </svg>
      <p class="nothing-title">{form.picture ? say("nothing_picture") : say("nothing_yet")}</p>
      <p class="small">{form.picture ? say("drop_or_paste") : say("nothing_yet_hint")}</p>
      {page.examples.length > 0 && (
        <p class="actions">
          {page.examples.map((example) => (
            <button key={example.name} type="button" onClick={() => void app.start(example)}>
              {say("start_from_example")}
            </button>
          ))}
        </p>
      )}
    </Spot>
  );
}

function Run({ app }: { app: App }) {
  const job = app.job.value;
  if (!job) return null;
  if (job.phase.value === "succeeded" && job.result.value) return <Outcome key={job.id} app={app} job={job} />;
  if (job.isOver) return <Ended app={app} job={job} />;
  return <Waiting key={job.id} job={job} before={pictureIn(app.form, job.input.value)} />;
}

/** What happens, for those who hear the page. */
function Announcer({ app }: { app: App }) {
  const job = app.job.value;
  const phase = job ? (job.gone.value ? "gone" : job.phase.value) : null;
  return (
    <p class="hidden-text" role="status">
      {phase && say(`said_${phase}`)}
    </p>
  );
}
