/** Fields that hold one picture or several, in order: chosen, dropped, pasted, or named by an address. */
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { Icon } from "../icons";
import { say } from "../page";
import type { Picture } from "../pictures";
import { picturesOf } from "../values";
import { Labelled, type FieldProps } from "./labelled";

/** The picture that a model works on. */
export function OnePicture({ form, field }: FieldProps) {
  const [picture] = picturesOf(form.value(field));
  return (
    <Labelled form={form} field={field} isGroup>
      {() => (
        <>
          {picture && <Shown form={form} field={field} picture={picture} />}
          <Chooser form={form} field={field} isFurther={Boolean(picture)} />
        </>
      )}
    </Labelled>
  );
}

/** Pictures whose order matters. */
export function ManyPictures({ form, field }: FieldProps) {
  const pictures = picturesOf(form.value(field));
  const most = field.schema.maxItems ?? Infinity;
  const move = (at: number, by: number) => {
    const order = [...pictures];
    order.splice(at + by, 0, ...order.splice(at, 1));
    form.set(field, order);
  };
  return (
    <Labelled form={form} field={field} isGroup aside={Number.isFinite(most) ? `${pictures.length} / ${most}` : null}>
      {() => (
        <>
          <ol class="pictures">
            {pictures.map((picture, at) => (
              <li key={picture.shown || picture.address}>
                <Shown form={form} field={field} picture={picture} number={at + 1}>
                  <Small name="up" text={say("move_up", { number: at + 1 })} isOff={at === 0} act={() => move(at, -1)} />
                  <Small
                    name="down"
                    text={say("move_down", { number: at + 1 })}
                    isOff={at === pictures.length - 1}
                    act={() => move(at, 1)}
                  />
                </Shown>
                {form.problem(`${field.name}[${at}]`) && (
                  <p class="problem">{form.problem(`${field.name}[${at}]`)}</p>
                )}
              </li>
            ))}
          </ol>
          {pictures.length < most && <Chooser form={form} field={field} isFurther={pictures.length > 0} />}
        </>
      )}
    </Labelled>
  );
}

interface ShownProps extends FieldProps {
  picture: Picture;
  number?: number;
  children?: JSX.Element[];
}

function Shown({ form, field, picture, number, children }: ShownProps) {
  return (
    <div class={picture.problem ? "picture-card refused" : "picture-card"}>
      {number !== undefined && <span class="number">{number}</span>}
      {picture.shown ? (
        <img src={picture.shown} alt="" width="64" height="64" />
      ) : (
        <span class="elsewhere" aria-hidden="true">
          <Icon name="download" />
        </span>
      )}
      <span class="picture-facts">
        <span class="picture-name" translate={false}>
          {picture.name || say("picture")}
        </span>
        <span class="small">{factsOf(picture)}</span>
        {picture.problem && <span class="problem">{picture.problem}</span>}
      </span>
      <span class="picture-tools">
        {children}
        <Small name="close" text={say("remove_picture")} act={() => form.remove(field, picture)} />
      </span>
    </div>
  );
}

function factsOf(picture: Picture): string {
  if (!picture.shown) return say("picture_elsewhere");
  return picture.width ? `${picture.width} × ${picture.height}` : "";
}

interface SmallProps {
  name: "up" | "down" | "close";
  text: string;
  isOff?: boolean;
  act: () => void;
}

function Small({ name, text, isOff, act }: SmallProps) {
  return (
    <button type="button" class="quiet icon" title={text} aria-label={text} disabled={isOff} onClick={act}>
      <Icon name={name} />
    </button>
  );
}

/** Where a picture comes in. Files can also be dropped and pasted anywhere on the page. */
function Chooser({ form, field, isFurther }: FieldProps & { isFurther: boolean }) {
  const address = useSignal("");
  const isTyping = useSignal(false);
  const take = () => {
    if (address.value.trim()) void form.take(field, address.value.trim());
    address.value = "";
    isTyping.value = false;
  };
  return (
    <div class="chooser">
      <label class="button file">
        <Icon name="upload" />
        {isFurther && field.kind === "image" ? say("other_picture") : say("choose_file")}
        <input
          type="file"
          class="hidden-text"
          accept="image/*"
          multiple={field.kind === "images"}
          aria-label={`${field.schema.title}: ${say("choose_file")}`}
          onChange={(event) => {
            void form.choose(field, [...(event.currentTarget.files ?? [])]);
            event.currentTarget.value = "";
          }}
        />
      </label>
      <button
        type="button"
        class="quiet"
        aria-expanded={isTyping.value}
        onClick={() => {
          isTyping.value = !isTyping.value;
        }}
      >
        {say("by_address")}
      </button>
      {isTyping.value && (
        <div class="joined">
          <input
            type="url"
            placeholder="https://"
            aria-label={`${field.schema.title}: ${say("by_address")}`}
            value={address.value}
            onInput={(event) => {
              address.value = event.currentTarget.value;
            }}
            onKeyDown={(event) => {
              if (event.key !== "Enter") return;
              event.preventDefault();
              take();
            }}
          />
          <button type="button" class="icon" aria-label={say("take_address")} onClick={take}>
            <Icon name="check" />
          </button>
        </div>
      )}
      <p class="small hint">{say("drop_or_paste")}</p>
    </div>
  );
}
