/** A request as code: the body that is sent, ready to be pasted. */
import { useSignal } from "@preact/signals";

import { Icon } from "./icons";
import type { JsonObject } from "./json";
import { say, type Page } from "./page";
import { snippet, type Language } from "./snippets";

const NAMES: Record<Language, string> = { curl: "curl", python: "Python", javascript: "JavaScript" };

export function Code({ page, body }: { page: Page; body: JsonObject }) {
  const language = useSignal<Language>("curl");
  const isCopied = useSignal(false);
  const text = snippet(language.value, { url: `${page.base_url}/v1/models/${page.model.model_id}`, body });
  const take = async () => {
    isCopied.value = await copy(text);
    setTimeout(() => {
      isCopied.value = false;
    }, 2000);
  };
  return (
    <div class="code">
      <div class="code-head">
        <div class="segments" role="group" aria-label={say("code_language")}>
          {(Object.keys(NAMES) as Language[]).map((name) => (
            <button
              key={name}
              type="button"
              translate={false}
              aria-pressed={name === language.value}
              onClick={() => {
                language.value = name;
              }}
            >
              {NAMES[name]}
            </button>
          ))}
        </div>
        <button type="button" class="quiet" onClick={() => void take()}>
          <Icon name={isCopied.value ? "check" : "copy"} />
          {isCopied.value ? say("copied") : say("copy")}
        </button>
        <span class="hidden-text" role="status">
          {isCopied.value && say("copied")}
        </span>
      </div>
      <pre tabIndex={0} translate={false}>
        <code>{text}</code>
      </pre>
    </div>
  );
}

/** Where a page came over plain HTTP from another machine, browsers lend no clipboard: the old way works. */
async function copy(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    const isDone = await navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
    if (isDone) return true;
  }
  const holder = document.createElement("textarea");
  holder.value = text;
  holder.className = "hidden-text";
  document.body.append(holder);
  holder.select();
  const isDone = document.execCommand("copy");
  holder.remove();
  return isDone;
}
