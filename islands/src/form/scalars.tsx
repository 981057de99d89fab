/** Fields with one plain value: text, numbers, seeds, choices, switches. */
import type { TargetedInputEvent } from "preact";

import { Icon } from "../icons";
import type { Json } from "../json";
import { page, say, shownNumber } from "../page";
import { LARGEST_SEED, stepOf, type Field } from "../schema";
import { Slider } from "../slider";
import { Labelled } from "./labelled";
import type { Form } from "./state";

interface Props {
  form: Form;
  field: Field;
  /** Where its value is: in the form, or in an item of a list. */
  name?: string;
  value: Json;
  onChange: (value: Json) => void;
}

type Typed<Element extends EventTarget> = TargetedInputEvent<Element>;

export function Scalar(props: Props) {
  switch (props.field.kind) {
    case "text":
      return <Words {...props} />;
    case "line":
      return <Line {...props} />;
    case "seed":
      return <Seed {...props} />;
    case "choice":
      return <Choice {...props} />;
    case "switch":
      return <Switch {...props} />;
    default:
      return <Amount {...props} />;
  }
}

function Words({ form, field, name, value, onChange }: Props) {
  const text = String(value ?? "");
  const most = field.schema.maxLength;
  const count = [...text].length;
  const aside = most !== undefined && count > most / 2 ? `${shownNumber(count)} / ${shownNumber(most)}` : null;
  return (
    <Labelled form={form} field={field} name={name} aside={aside}>
      {(described) => (
        <textarea
          {...described}
          class={field.required ? "prompt" : ""}
          rows={field.required ? 4 : 2}
          value={text}
          onInput={(event: Typed<HTMLTextAreaElement>) => onChange(event.currentTarget.value)}
        />
      )}
    </Labelled>
  );
}

function Line({ form, field, name, value, onChange }: Props) {
  return (
    <Labelled form={form} field={field} name={name}>
      {(described) => (
        <input
          {...described}
          type="text"
          value={String(value ?? "")}
          autocomplete="off"
          spellcheck={false}
          onInput={(event: Typed<HTMLInputElement>) => onChange(event.currentTarget.value)}
        />
      )}
    </Labelled>
  );
}

/** A number, with a slider where its range is known. */
function Amount({ form, field, name, value, onChange }: Props) {
  const { minimum, maximum, title } = field.schema;
  const step = stepOf(field.schema);
  const hasRange = minimum !== undefined && maximum !== undefined;
  const take = (event: Typed<HTMLInputElement>) => onChange(numberOf(event.currentTarget));
  return (
    <Labelled form={form} field={field} name={name}>
      {(described) => (
        <div class="amount">
          {hasRange && (
            <Slider label={title} min={minimum} max={maximum} step={step} value={Number(value ?? minimum)} onSlide={onChange} />
          )}
          <input {...described} type="number" min={minimum} max={maximum} step={step} value={shown(value)} onInput={take} />
        </div>
      )}
    </Labelled>
  );
}

/** Empty draws another seed each time. */
function Seed({ form, field, name, value, onChange }: Props) {
  const most = field.schema.maximum ?? LARGEST_SEED;
  // Short enough to be read out; any seed is as good as another.
  const roll = () => onChange(Math.floor(Math.random() * Math.min(most, 2 ** 31)));
  return (
    <Labelled form={form} field={field} name={name}>
      {(described) => (
        <div class="joined">
          <input
            {...described}
            type="number"
            min={0}
            max={most}
            step={1}
            value={shown(value)}
            placeholder={say("seed_drawn")}
            onInput={(event: Typed<HTMLInputElement>) => onChange(numberOf(event.currentTarget))}
          />
          <button type="button" class="icon" title={say("seed_roll")} aria-label={say("seed_roll")} onClick={roll}>
            <Icon name="dice" />
          </button>
          <button
            type="button"
            class="icon"
            title={say("seed_clear")}
            aria-label={say("seed_clear")}
            aria-pressed={value === null}
            onClick={() => onChange(null)}
          >
            <Icon name="again" />
          </button>
        </div>
      )}
    </Labelled>
  );
}

const FEW = 4;

function Choice({ form, field, name = field.name, value, onChange }: Props) {
  const choices = field.schema.enum ?? [];
  const shapes = choices.map(shapeOf);
  if (choices.length > FEW && !shapes.some(Boolean)) {
    return (
      <Labelled form={form} field={field} name={name}>
        {(described) => (
          <select {...described} value={String(value)} onChange={(event) => onChange(event.currentTarget.value)}>
            {choices.map((choice) => (
              <option key={choice} value={choice} translate={isTranslated(choice)}>
                {choiceName(choice)}
              </option>
            ))}
          </select>
        )}
      </Labelled>
    );
  }
  return (
    <Labelled form={form} field={field} name={name} isGroup>
      {() => (
        <div class={shapes.some(Boolean) ? "shapes" : "segments"}>
          {choices.map((choice, at) => (
            <label key={choice}>
              <input
                type="radio"
                name={name}
                value={choice}
                checked={choice === value}
                onChange={() => onChange(choice)}
              />
              {shapes.some(Boolean) && <Shape shape={shapes[at] ?? null} />}
              <span translate={isTranslated(choice)}>{choiceName(choice)}</span>
            </label>
          ))}
        </div>
      )}
    </Labelled>
  );
}

/** The words of a choice; one that the page has no words for is shown as it is sent. */
function choiceName(choice: string): string {
  return page().texts[`choice_${choice}`] ?? choice;
}

function isTranslated(choice: string): boolean {
  return `choice_${choice}` in page().texts;
}

/** Width over height of what a size's name says: `portrait_4_3`, `1344*576 (21:9)`. */
function shapeOf(choice: string): number | null {
  const pixels = /^(\d+)\*(\d+)/.exec(choice);
  if (pixels) return Number(pixels[1]) / Number(pixels[2]);
  const named = /^(square|portrait|landscape)(?:_(\d+)_(\d+))?/.exec(choice);
  if (!named) return null;
  const ratio = named[2] ? Number(named[2]) / Number(named[3]) : 1;
  return named[1] === "portrait" ? 1 / ratio : ratio;
}

function Shape({ shape }: { shape: number | null }) {
  const [width, height] = !shape ? [18, 18] : shape > 1 ? [24, 24 / shape] : [24 * shape, 24];
  return (
    <svg class="shape" viewBox="0 0 28 28" width="28" height="28" aria-hidden="true">
      <rect
        x={(28 - width) / 2}
        y={(28 - height) / 2}
        width={width}
        height={height}
        rx="2"
        stroke-dasharray={shape ? undefined : "3 3"}
      />
    </svg>
  );
}

function Switch({ form, field, name, value, onChange }: Props) {
  return (
    <Labelled form={form} field={field} name={name}>
      {({ "aria-required": _, ...described }) => (
        <input
          {...described}
          type="checkbox"
          role="switch"
          class="switch"
          checked={value === true}
          onChange={(event) => onChange(event.currentTarget.checked)}
        />
      )}
    </Labelled>
  );
}

function numberOf(input: HTMLInputElement): number | null {
  return input.value === "" ? null : input.valueAsNumber;
}

function shown(value: Json): string {
  return typeof value === "number" && !Number.isNaN(value) ? String(value) : "";
}
