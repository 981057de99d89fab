/** A request on its way: its place in the queue, its steps, and what it looks like so far. */
import { useSignal } from "@preact/signals";

import { Icon } from "../icons";
import type { Job } from "../jobs";
import { say } from "../page";
import { Spot } from "./spot";

interface Props {
  job: Job;
  /** The picture that goes in, while nothing else can be seen. */
  before: string;
}

export function Waiting({ job, before }: Props) {
  const progress = job.progress.value;
  const problem = useSignal("");
  const cancel = () => {
    problem.value = "";
    job.cancel().catch((error: Error) => {
      problem.value = error.message;
    });
  };
  return (
    <div class="waiting">
      <Spot>
        {job.preview.value ? (
          <img class="preview" src={job.preview.value} alt={say("preview")} />
        ) : (
          <>
            {before && <img class="faint" src={before} alt="" />}
            <div class="breathing" aria-hidden="true" />
          </>
        )}
      </Spot>
      <div class="way">
        <progress
          aria-label={say("progress")}
          {...(progress ? { max: progress.steps, value: progress.step } : { max: 1 })}
        />
        <p class="way-words">{wordsFor(job)}</p>
        <button type="button" class="quiet" disabled={job.cancelling.value} onClick={cancel}>
          <Icon name="stop" />
          {job.cancelling.value ? say("cancelling") : say("cancel")}
        </button>
      </div>
      {job.unreachable.value && (
        <p class="notice warn" role="alert">
          {say("offline_waiting")}
        </p>
      )}
      {problem.value && (
        <p class="notice bad" role="alert">
          {problem.value}
        </p>
      )}
      <p class="stage-hint small">{say("may_leave")}</p>
    </div>
  );
}

function wordsFor(job: Job): string {
  if (job.phase.value === "in_queue") {
    const ahead = job.ahead.value;
    return ahead === null ? say("in_queue") : ahead === 0 ? say("next_in_queue") : say("ahead_in_queue", { count: ahead });
  }
  const progress = job.progress.value;
  return progress ? say("step_of", { step: progress.step, steps: progress.steps }) : say("preparing");
}
