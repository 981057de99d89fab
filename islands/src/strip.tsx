/** The film strip: one's own requests, the newest first. */
import { local } from "./api";
import type { App } from "./app";
import { Icon } from "./icons";
import type { Job } from "./jobs";
import { page, say } from "./page";

export function Strip({ app }: { app: App }) {
  const jobs = app.history.jobs.value;
  if (!jobs.length) return null;
  return (
    <section class="strip" aria-label={say("history")}>
      <h2>{say("history")}</h2>
      <ul>
        {jobs.map((job) => (
          <li key={job.id}>
            <Frame job={job} isShown={app.job.value === job && app.view.value === "result"} show={() => app.show(job)} />
          </li>
        ))}
        {app.history.older.value && (
          <li>
            <button type="button" class="frame" onClick={() => void app.history.loadOlder()}>
              {say("older")}
            </button>
          </li>
        )}
      </ul>
    </section>
  );
}

function Frame({ job, isShown, show }: { job: Job; isShown: boolean; show: () => void }) {
  const [image] = job.images;
  const phase = job.gone.value ? "gone" : job.phase.value;
  const prompt = typeof job.input.value?.prompt === "string" ? job.input.value.prompt : "";
  const when = new Date(job.createdAt).toLocaleString(page().language, { dateStyle: "short", timeStyle: "short" });
  const label = [say(`phase_${phase}`), when, prompt.slice(0, 120)].filter(Boolean).join(" · ");
  return (
    <button type="button" class={`frame ${phase}`} aria-pressed={isShown} aria-label={label} title={label} onClick={show}>
      {image ? (
        <img src={local(image)} alt="" loading="lazy" />
      ) : job.preview.value && !job.isOver ? (
        <img src={job.preview.value} alt="" />
      ) : phase === "failed" || phase === "gone" ? (
        <Icon name="close" />
      ) : phase === "cancelled" ? (
        <Icon name="stop" />
      ) : (
        <span class="spinner" aria-hidden="true" />
      )}
    </button>
  );
}
