/** A request that ended without a picture: failed, cancelled, or gone. */
import type { App } from "../app";
import { Icon } from "../icons";
import type { Job } from "../jobs";
import { say } from "../page";
import { Spot } from "./spot";

export function Ended({ app, job }: { app: App; job: Job }) {
  const error = job.result.value?.error;
  const isFailed = job.phase.value === "failed";
  const title = job.gone.value ? say("gone") : isFailed ? say("failed") : say("cancelled");
  const input = job.input.value;
  return (
    <Spot kind={isFailed ? "ended bad" : "ended"}>
      <Icon name={isFailed || job.gone.value ? "close" : "stop"} />
      <p class="nothing-title">{title}</p>
      <p>{job.gone.value ? say("gone_hint") : (error?.message ?? say("cancelled_hint"))}</p>
      {error && (
        <p class="small">
          <code translate={false}>{error.code}</code> · {say("not_charged")}
        </p>
      )}
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
