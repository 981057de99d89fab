/** What every field has around it: its title, description and message. */
import type { ComponentChildren } from "preact";

import { say } from "../page";
import type { Field } from "../schema";
import type { Form } from "./state";

export interface FieldProps {
  form: Form;
  field: Field;
}

/** How a control names what describes it. */
export interface Described {
  id: string;
  "aria-describedby"?: string;
  "aria-invalid"?: "true";
  "aria-required"?: "true";
}

interface Props {
  form: Form;
  field: Field;
  /** `loras[0].scale`; a field of its own is called by its name. */
  name?: string;
  /** Several controls under one title: a list, pictures, choices. */
  isGroup?: boolean;
  /** Beside the title, like a number of characters. */
  aside?: ComponentChildren;
  children: (described: Described) => ComponentChildren;
}

export function Labelled({ form, field, name = field.name, isGroup, aside, children }: Props) {
  const id = idOf(name);
  const problem = form.problem(name);
  const { title, description } = field.schema;
  const notes = [description && `${id}-about`, problem && `${id}-problem`].filter(Boolean).join(" ");
  const described: Described = {
    id,
    ...(notes && { "aria-describedby": notes }),
    ...(problem && { "aria-invalid": "true" as const }),
    ...(field.required && { "aria-required": "true" as const }),
  };
  const heading = (
    <>
      {title}
      {field.required && (
        <span class="required" title={say("required")}>
          <span aria-hidden="true">•</span>
          <span class="hidden-text">{say("required")}</span>
        </span>
      )}
    </>
  );
  const rest = (
    <>
      {children(described)}
      {description && (
        <p class="about" id={`${id}-about`}>
          {description}
        </p>
      )}
      {problem && (
        <p class="problem" id={`${id}-problem`}>
          {problem}
        </p>
      )}
    </>
  );
  if (isGroup) {
    const { id: _, "aria-required": __, "aria-invalid": ___, ...group } = described;
    return (
      <fieldset class="field" data-field={name} {...group}>
        <legend>{heading}</legend>
        {aside && <span class="aside">{aside}</span>}
        {rest}
      </fieldset>
    );
  }
  return (
    <div class="field" data-field={name}>
      <label for={id}>{heading}</label>
      {aside && <span class="aside">{aside}</span>}
      {rest}
    </div>
  );
}

export function idOf(name: string): string {
  return `field-${name.replace(/[^\w-]/g, "-")}`;
}
