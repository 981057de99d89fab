/** The form that follows from a model's schema, and the button that sends it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { App } from "../app";
import { Code } from "../code";
import { Icon } from "../icons";
import type { Json } from "../json";
import { say } from "../page";
import { usd } from "../price";
import { isPicture } from "../values";
import { idOf, Labelled, type FieldProps } from "./labelled";
import { List } from "./list";
import { ManyPictures, OnePicture } from "./picture";
import { Scalar } from "./scalars";

export function InputForm({ app }: { app: App }) {
  const { form } = app;
  const element = useRef<HTMLFormElement>(null);
  const toFix = app.toFix.value;
  useEffect(() => {
    if (toFix && element.current) focusField(element.current, toFix.field);
  }, [toFix]);
  return (
    <form
      ref={element}
      class="input"
      aria-label={say("input")}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void app.run();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        void app.run();
      }}
    >
      <div class="fields">
        {form.fields.map((field) => (
          <AnyField key={field.name} form={form} field={field} />
        ))}
        <FormCode app={app} />
      </div>
      <RunBar app={app} />
    </form>
  );
}

function AnyField({ form, field }: FieldProps) {
  switch (field.kind) {
    case "image":
      return <OnePicture form={form} field={field} />;
    case "mask":
      return <MaskField form={form} field={field} />;
    case "images":
      return <ManyPictures form={form} field={field} />;
    case "list":
      return <List form={form} field={field} />;
    default:
      return (
        <Scalar form={form} field={field} value={form.value(field) as Json} onChange={(value) => form.set(field, value)} />
      );
  }
}

/** A mask is painted on the stage; here is only said whether there is one. */
function MaskField({ form, field }: FieldProps) {
  const mask = form.value(field);
  const state = isPicture(mask)
    ? mask.shown || !mask.address || mask.address.startsWith("data:")
      ? say("mask_painted")
      : say("picture_elsewhere")
    : form.painting.value
      ? say("mask_to_paint")
      : say("mask_needs_picture");
  return (
    <Labelled form={form} field={field} isGroup>
      {() => (
        <p class={isPicture(mask) ? "mask-state is-there" : "mask-state"}>
          <Icon name={isPicture(mask) ? "check" : "brush"} />
          {state}
        </p>
      )}
    </Labelled>
  );
}

/** The form as code. What is still only here goes to the server first: the code names it. */
function FormCode({ app }: { app: App }) {
  const { form, page } = app;
  const problem = useSignal("");
  const isOpen = useSignal(false);
  const isWhole = form.isSettled.value;
  useEffect(() => {
    if (!isOpen.value || isWhole || !page.account) return;
    const timer = setTimeout(() => {
      form.settle().then(
        () => (problem.value = ""),
        (error: Error) => (problem.value = error.message),
      );
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [form.body.value, isOpen.value, isWhole]);
  return (
    <details
      class="form-code"
      onToggle={(event) => {
        isOpen.value = event.currentTarget.open;
      }}
    >
      <summary>
        <Icon name="code" />
        {say("as_code")}
      </summary>
      {isOpen.value && (isWhole || !page.account) && <Code page={page} body={form.body.value} />}
      {isOpen.value && !isWhole && <p class={problem.value ? "problem" : "small"}>{problem.value || say("code_waits")}</p>}
    </details>
  );
}

/** A stroke of the brush is often followed by another. */
const SETTLE_MS = 300;

function RunBar({ app }: { app: App }) {
  const { page, price } = app;
  const quote = price.quote.value;
  const stopped = app.stopped.value;
  return (
    <div class="run-bar">
      {stopped && (
        <p class={stopped.kind === "refused" ? "notice bad" : "notice warn"} role="alert">
          {stopped.message}{" "}
          {stopped.kind === "credits" && <a href={page.profile_url}>{say("to_profile")}</a>}
          {stopped.kind === "login" && <LoginLink address={page.login_url} />}
        </p>
      )}
      {!price.coversIt && quote && (
        <p class="notice warn">
          {say("not_enough", { balance: usd(quote.balance_usd) })} <a href={page.profile_url}>{say("to_profile")}</a>
        </p>
      )}
      <div class="run-row">
        {quote && (
          <p class="price">
            <span class="small">{quote.at_most ? say("price_at_most") : say("price")}</span>
            <strong>{quote.cost ? usd(quote.cost) : say("free")}</strong>
            {page.account?.unmetered && quote.cost > 0 && <span class="small">{say("not_charged_here")}</span>}
          </p>
        )}
        {page.account ? (
          <button class="primary run" disabled={app.isSending.value || !page.model.ready} title={`${say("run")} (Ctrl+Enter)`}>
            {app.isSending.value ? say("sending") : say("run")}
          </button>
        ) : (
          <LoginLink address={page.login_url} />
        )}
      </div>
      {!page.model.ready && <p class="small">{say("not_ready")}</p>}
    </div>
  );
}

function LoginLink({ address }: { address: string }) {
  return (
    <a class="button primary" href={address}>
      {say("log_in_to_run")}
    </a>
  );
}

/** Bring a field to where the eye and the keyboard are. A name may be that of an item's field. */
function focusField(form: HTMLFormElement, name: string): void {
  const places = [name, name.replace(/\.[^.]*$/, ""), name.replace(/[[.].*$/, "")];
  for (const place of places) {
    const control = document.getElementById(idOf(place));
    const holder = form.querySelector<HTMLElement>(`[data-field="${CSS.escape(place)}"]`);
    const target = control ?? holder?.querySelector<HTMLElement>("input, button, select, textarea");
    if (!target) continue;
    (holder ?? target).scrollIntoView({ block: "nearest" });
    target.focus({ preventScroll: true });
    return;
  }
}
