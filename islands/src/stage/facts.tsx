/** How a result came about: seed, weights, times, price, and what is worth knowing. */
import type { ComponentChildren } from "preact";

import type { App } from "../app";
import type { Result } from "../jobs";
import { page, say, shownNumber, shownSeconds } from "../page";
import { usd } from "../price";

export function Facts({ app, result }: { app: App; result: Result }) {
  const { form } = app;
  const seed = form.fields.find((field) => field.kind === "seed");
  const prompt = form.fields.find((field) => field.kind === "text" && field.required);
  const timings = Object.entries(result.timings ?? {});
  const total = timings.reduce((sum, [, seconds]) => sum + seconds, 0);
  return (
    <div class="facts-of-result">
      {(result.notes ?? []).map((note) => (
        <p key={note} class="notice">
          {note}
        </p>
      ))}
      <dl>
        {result.seed !== undefined && (
          <Fact name={say("seed")}>
            <span translate={false}>{result.seed}</span>
            {seed && (
              <button type="button" class="small-button" onClick={() => form.set(seed, result.seed ?? null)}>
                {say("keep_seed")}
              </button>
            )}
          </Fact>
        )}
        {total > 0 && (
          <Fact name={say("time")}>
            <details>
              <summary>{shownSeconds(total)}</summary>
              <ul>
                {timings.map(([stage, seconds]) => (
                  <li key={stage}>
                    {page().texts[`timing_${stage}`] ?? stage} {shownSeconds(seconds)}
                  </li>
                ))}
              </ul>
            </details>
          </Fact>
        )}
        {(result.backend ?? result.weights) && <Fact name={say("weights")}>{weightsName(result)}</Fact>}
        {result.cost !== undefined && (
          <Fact name={say("cost")}>
            {usd(result.cost)}
            {page().account?.unmetered && result.cost > 0 && <span class="small"> {say("not_charged_here")}</span>}
          </Fact>
        )}
        {(result.loras ?? []).map((lora, at) => (
          <Fact key={at} name={say("lora", { number: at + 1 })}>
            <LoraFacts lora={lora} />
          </Fact>
        ))}
        {result.expanded_prompt !== undefined && (
          <Fact name={say("expanded_prompt")}>
            {result.expanded_prompt}
            {prompt && (
              <button
                type="button"
                class="small-button"
                onClick={() => form.set(prompt, result.expanded_prompt ?? "")}
              >
                {say("keep_prompt")}
              </button>
            )}
          </Fact>
        )}
      </dl>
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function weightsName({ backend, weights = "" }: Result): string {
  const name = backend ?? weights;
  return page().texts[`weights_${name}`] ?? name;
}

function LoraFacts({ lora }: { lora: Record<string, unknown> }) {
  const matched = Number(lora.matched);
  const total = Number(lora.expected);
  return (
    <>
      <span translate={false}>{String(lora.path ?? "")}</span>{" "}
      {Number.isFinite(matched) && Number.isFinite(total) && (
        <span class="small">{say("lora_matched", { matched: shownNumber(matched), total: shownNumber(total) })}</span>
      )}
    </>
  );
}
