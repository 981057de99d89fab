/** The form's state: a signal per field, what was refused, and the mask under the brush. */
import { batch, computed, effect, signal, untracked, type ReadonlySignal, type Signal } from "@preact/signals";

import { Refusal } from "../api";
import { problemsOf, type Problems } from "../checks";
import type { Json, JsonObject } from "../json";
import { Painting } from "../mask/painting";
import type { Page } from "../page";
import { decoded, fromAddress, fromFile, release, upload, type Picture } from "../pictures";
import { fieldsOf, type Field } from "../schema";
import { bodyOf, isPicture, picturesOf, startValue, type Value, type Values } from "../values";

export class Form {
  readonly fields: Field[];
  readonly values: Record<string, Signal<Value>>;
  /** What the server refused; a field's message goes when the field changes. */
  readonly refused = signal<Problems>({});
  /** Whether what is missing is shown: not before somebody wanted to run. */
  readonly asked = signal(false);
  readonly painting = signal<Painting | null>(null);
  /** The mask's field, and the one whose picture it covers. */
  readonly mask: Field | undefined;
  readonly picture: Field | undefined;
  readonly problems: ReadonlySignal<Problems>;
  readonly body: ReadonlySignal<JsonObject>;
  /** Whether every picture is on the server, so that the body is what will be sent. */
  readonly isSettled: ReadonlySignal<boolean>;
  private readonly isKnown: boolean;
  private readonly files = new Map<string, Blob>();
  private readonly uploads = new Map<string, Promise<string>>();

  constructor(page: Page) {
    this.isKnown = page.account !== null;
    this.fields = fieldsOf(page.model.input_schema, page.image_fields);
    this.values = Object.fromEntries(this.fields.map((field) => [field.name, signal(this.initial(field))]));
    this.mask = this.fields.find((field) => field.kind === "mask");
    this.picture = this.fields.find((field) => field.kind === "image" || field.kind === "images");
    this.problems = computed(() => problemsOf(this.fields, this.all()));
    this.body = computed(() => bodyOf(this.fields, this.all()));
    this.isSettled = computed(() =>
      this.fields.every((field) => picturesOf(this.value(field)).every((picture) => picture.address || picture.problem)),
    );
    effect(() => this.takePainting());
  }

  /** A field's message: the server's, else what is known here once it was asked for. */
  problem(name: string): string | undefined {
    return this.refused.value[name] ?? (this.asked.value ? this.problems.value[name] : undefined);
  }

  value(field: Field): Value {
    return this.signal(field).value;
  }

  set(field: Field, value: Value): void {
    batch(() => {
      const kept = Object.entries(this.refused.value).filter(([name]) => rootOf(name) !== field.name);
      this.refused.value = Object.fromEntries(kept);
      this.signal(field).value = value;
    });
  }

  /** Put pictures into a field: the one it holds, or further ones of a list. */
  async choose(field: Field, files: File[]): Promise<void> {
    for (const file of files) {
      const { picture, file: sent } = await fromFile(file, field.schema.validations ?? []);
      this.files.set(picture.shown, sent);
      this.put(field, picture);
      // Sent while somebody is still typing; what fails now is tried again before it runs.
      if (!picture.problem && this.isKnown) await this.send(field, picture).catch(() => undefined);
      if (field.kind !== "images") return;
    }
  }

  /** Take a picture by its address: a result, or one from elsewhere. */
  async take(field: Field, address: string): Promise<void> {
    this.put(field, await fromAddress(address));
  }

  remove(field: Field, picture: Picture): void {
    const rest = picturesOf(this.value(field)).filter((one) => one !== picture);
    this.set(field, field.kind === "images" ? rest : null);
    release(picture);
    if (field === this.picture && this.mask) this.painting.value = null;
  }

  /** Everything that is still here goes to the server; then the body is what it will be. Raises Refusal, Offline. */
  async settle(): Promise<JsonObject> {
    for (const field of this.fields) {
      for (const picture of picturesOf(this.value(field))) {
        if (!picture.address && !picture.problem) await this.send(field, picture);
      }
    }
    return this.body.value;
  }

  /** Fill the form with an input that was sent before; fields it leaves out get their defaults. */
  async fill(input: JsonObject): Promise<void> {
    batch(() => {
      this.refused.value = {};
      this.asked.value = false;
      for (const field of this.fields) {
        if (!isPictorial(field)) this.set(field, input[field.name] ?? startValue(field));
      }
    });
    for (const field of this.fields.filter(isPictorial)) {
      const given = input[field.name];
      const addresses = (Array.isArray(given) ? given : [given]).filter((one): one is string => !!one);
      if (field.kind === "mask") await this.loadMask(addresses[0] ?? "");
      else if (field.kind === "image" && addresses[0]) await this.take(field, addresses[0]);
      else this.set(field, field.kind === "images" ? await Promise.all(addresses.map(fromAddress)) : null);
    }
  }

  /** Name what the server refused at its fields. */
  refuse(refusal: Refusal): void {
    this.refused.value = Object.fromEntries(refusal.fields.map(({ field, message }) => [field, message]));
  }

  private all(): Values {
    return Object.fromEntries(this.fields.map((field) => [field.name, this.value(field)]));
  }

  private signal(field: Field): Signal<Value> {
    const found = this.values[field.name];
    if (!found) throw new Error(field.name);
    return found;
  }

  private initial(field: Field): Value {
    return isPictorial(field) ? (field.kind === "images" ? [] : null) : startValue(field);
  }

  private put(field: Field, picture: Picture): void {
    if (field.kind === "images") {
      this.set(field, [...picturesOf(this.value(field)), picture]);
      return;
    }
    const before = this.value(field);
    this.set(field, picture);
    if (isPicture(before) && before.shown !== picture.shown) release(before);
    if (field === this.picture && this.mask) this.lay(picture);
  }

  /** Lay a mask over a picture. One of the same size keeps what was painted. */
  private lay(picture: Picture): void {
    const { width, height } = picture;
    const old = this.painting.value;
    if (old && old.width === width && old.height === height) return;
    this.painting.value = width && height && !picture.problem ? new Painting(width, height) : null;
  }

  private async loadMask(address: string): Promise<void> {
    const field = this.mask;
    if (!field) return;
    const picture = address ? await fromAddress(address) : null;
    const painting = this.painting.value;
    if (painting && picture?.shown) painting.load((await decoded(picture.shown)).element);
    else if (painting && !painting.isEmpty.value) painting.clear();
    // One that the page kept as a data URI counts as painted here: it is sent when it is needed.
    if (!address.startsWith("data:")) this.set(field, picture);
  }

  /** A mask that was painted on is another one, not yet on the server. */
  private takePainting(): void {
    const painting = this.painting.value;
    const version = painting?.version.value;
    if (!this.mask || !painting || !version) return;
    const mask = painting.isEmpty.peek() ? null : { address: "", shown: "", name: `mask-${version}`, width: 0, height: 0 };
    const { mask: field } = this;
    untracked(() => this.set(field, mask));
  }

  private async send(field: Field, picture: Picture): Promise<void> {
    const key = picture.shown || picture.name;
    const sending = this.uploads.get(key) ?? this.read(picture).then(upload);
    this.uploads.set(key, sending);
    try {
      const address = await sending;
      this.replace(field, picture, { ...picture, address });
    } catch (error) {
      if (error instanceof Refusal) this.replace(field, picture, { ...picture, problem: error.message });
      throw error;
    } finally {
      this.uploads.delete(key);
    }
  }

  private async read(picture: Picture): Promise<Blob> {
    const file = this.files.get(picture.shown);
    if (file) return file;
    if (!this.painting.value) throw new Error(picture.name);
    return this.painting.value.export();
  }

  private replace(field: Field, before: Picture, after: Picture): void {
    const value = this.value(field);
    if (field.kind === "images") this.signal(field).value = picturesOf(value).map((one) => (one === before ? after : one));
    else if (value === before) this.signal(field).value = after;
  }
}

export function isPictorial(field: Field): boolean {
  return ["image", "mask", "images"].includes(field.kind);
}

/** `loras[0].path` → `loras` */
function rootOf(name: string): string {
  return /^[^.[]*/.exec(name)?.[0] ?? name;
}

export function listOf(value: Value): Json[] {
  return Array.isArray(value) ? (value as Json[]) : [];
}
