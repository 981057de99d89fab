/** What came out: the picture beside what went in, what can be done with it, and how it came about. */
import { useSignal } from "@preact/signals";

import { local } from "../api";
import type { App } from "../app";
import { Code } from "../code";
import { Icon } from "../icons";
import type { Job } from "../jobs";
import { say } from "../page";
import { Compare } from "./compare";
import { Facts } from "./facts";
import { pictureIn } from "./picture-in";
import { Spot } from "./spot";

export function Outcome({ app, job }: { app: App; job: Job }) {
  const { form, page } = app;
  const chosen = useSignal(0);
  const isGone = useSignal(false);
  const isCode = useSignal(false);
  const addresses = job.images;
  const address = addresses[chosen.value] ?? "";
  const shown = local(address);
  const input = job.input.value;
  const before = pictureIn(form, input);
  const prompt = typeof input?.prompt === "string" ? input.prompt : "";
  if (isGone.value) {
    return (
      <Spot kind="ended">
        <p class="nothing-title">{say("expired")}</p>
        <p>{say("expired_hint")}</p>
        {input && (
          <p class="actions">
            <button type="button" onClick={() => void app.recall(input)}>
              <Icon name="recall" />
              {say("recall")}
            </button>
          </p>
        )}
      </Spot>
    );
  }
  return (
    <div class="outcome">
      <Compare
        before={before}
        after={shown}
        alt={prompt || say("view_result")}
        onGone={() => {
          isGone.value = true;
        }}
      />
      {addresses.length > 1 && (
        <div class="segments" role="group" aria-label={say("results")}>
          {addresses.map((_, at) => (
            <button
              key={at}
              type="button"
              aria-pressed={at === chosen.value}
              onClick={() => {
                chosen.value = at;
              }}
            >
              {at + 1}
            </button>
          ))}
        </div>
      )}
      <div class="actions">
        <a class="button" href={shown} download={fileName(page.model.model_id, job, shown)}>
          <Icon name="download" />
          {say("download")}
        </a>
        {form.picture ? (
          <button type="button" onClick={() => void app.goOn(address)}>
            <Icon name="input" />
            {say("use_as_input")}
          </button>
        ) : (
          page.takers.map((taker) => (
            <a
              key={taker.model_id}
              class="button"
              href={`/models/${taker.model_id}#picture=${encodeURIComponent(address)}`}
            >
              <Icon name="input" />
              {say("use_in", { model: taker.display_name })}
            </a>
          ))
        )}
        {input && (
          <button type="button" onClick={() => void app.recall(input)}>
            <Icon name="recall" />
            {say("recall")}
          </button>
        )}
        {input && (
          <button
            type="button"
            aria-expanded={isCode.value}
            onClick={() => {
              isCode.value = !isCode.value;
            }}
          >
            <Icon name="code" />
            {say("show_code")}
          </button>
        )}
      </div>
      {isCode.value && input && <Code page={page} body={input} />}
      {job.result.value && <Facts app={app} result={job.result.value} />}
    </div>
  );
}

/** `z-image-turbo-inpainting-lora-3f2a.png` */
function fileName(modelId: string, job: Job, shown: string): string {
  const kind = /\.\w+$/.exec(shown.split("?")[0] ?? "")?.[0] ?? "";
  return `${modelId.split("/").slice(1).join("-")}-${job.id.slice(0, 6)}${kind}`;
}
