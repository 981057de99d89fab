/** A list of items with fields of their own, like LoRAs with their scales. */
import { Icon } from "../icons";
import { say } from "../page";
import { newItem, type Item } from "../values";
import { Labelled, type FieldProps } from "./labelled";
import { Scalar } from "./scalars";
import { listOf } from "./state";

export function List({ form, field }: FieldProps) {
  const items = listOf(form.value(field)) as Item[];
  const most = field.schema.maxItems ?? Infinity;
  const least = field.schema.minItems ?? 0;
  const change = (at: number, name: string, value: Item[string]) =>
    form.set(field, items.map((item, index) => (index === at ? { ...item, [name]: value } : item)));
  return (
    <Labelled form={form} field={field} isGroup aside={Number.isFinite(most) ? `${items.length} / ${most}` : null}>
      {() => (
        <>
          {items.length > 0 && (
            <ol class="items">
              {items.map((item, at) => (
                <li key={at} class="item">
                  {field.items.map((part) => (
                    <Scalar
                      key={part.name}
                      form={form}
                      field={part}
                      name={`${field.name}[${at}].${part.name}`}
                      value={item[part.name] ?? null}
                      onChange={(value) => change(at, part.name, value)}
                    />
                  ))}
                  <button
                    type="button"
                    class="quiet icon remove"
                    title={say("remove")}
                    aria-label={say("remove_item", { number: at + 1 })}
                    disabled={items.length <= least}
                    onClick={() => form.set(field, items.filter((_, index) => index !== at))}
                  >
                    <Icon name="close" />
                  </button>
                </li>
              ))}
            </ol>
          )}
          {items.length < most && (
            <button type="button" class="add" onClick={() => form.set(field, [...items, newItem(field)])}>
              <Icon name="plus" />
              {say("add_item")}
            </button>
          )}
        </>
      )}
    </Labelled>
  );
}
