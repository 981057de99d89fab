/** The playground's state beside the form's: what runs, what ran, and which of the two is looked at. */
import { batch, computed, effect, signal } from "@preact/signals";

import { call, local, Offline, Refusal } from "./api";
import { keepDraft, readDraft } from "./draft";
import { Form } from "./form/state";
import { History } from "./history";
import { Job } from "./jobs";
import { same, type JsonObject } from "./json";
import { Tools } from "./mask/tools";
import type { Example, Page } from "./page";
import { Price } from "./price";

/** What stopped a request before it was one. */
export interface Stopped {
  kind: "refused" | "offline" | "credits" | "login";
  message: string;
}

export class App {
  readonly form: Form;
  readonly tools = new Tools();
  readonly history: History;
  readonly price: Price;
  /** The request on the stage. */
  readonly job = signal<Job | null>(null);
  readonly view = signal<"picture" | "result">("picture");
  readonly isSending = signal(false);
  readonly stopped = signal<Stopped | null>(null);
  /** Where the keyboard goes when something needs a look: the first field that does not fit. */
  readonly toFix = signal<{ field: string } | null>(null);
  readonly isBusy = computed(() => this.isSending.value || Boolean(this.job.value && !this.job.value.isOver));
  /** A key for each body: one that is sent again because nobody answered is not paid twice. */
  private attempt: { body: JsonObject; key: string } | null = null;

  constructor(readonly page: Page) {
    this.form = new Form(page);
    this.history = new History(page.model.model_id);
    this.price = new Price(page, this.form);
    effect(() => {
      if (this.job.value?.result.value) this.price.again();
    });
    void this.open();
  }

  /** Send the form. What does not fit is said at its field. */
  async run(): Promise<void> {
    if (this.isSending.value) return;
    this.form.asked.value = true;
    const [problem] = Object.keys(this.form.problems.value);
    if (problem) {
      this.toFix.value = { field: problem };
      return;
    }
    batch(() => {
      this.isSending.value = true;
      this.stopped.value = null;
    });
    try {
      const body = await this.form.settle();
      const job = await this.submit(body);
      this.form.asked.value = false;
      this.history.add(job);
      this.show(job);
    } catch (error) {
      this.stop(error);
    } finally {
      this.isSending.value = false;
    }
  }

  /** Put a request on the stage. */
  show(job: Job): void {
    if (this.job.value !== job) this.job.value?.leave();
    batch(() => {
      this.job.value = job;
      this.view.value = "result";
      this.stopped.value = null;
    });
    history.replaceState(null, "", `#request=${job.id}`);
    job.follow();
  }

  /** Fill the form with what a request was made of. */
  async recall(input: JsonObject): Promise<void> {
    await this.form.fill(input);
    this.view.value = "picture";
  }

  async start(example: Example): Promise<void> {
    await this.form.fill(example.input);
    this.view.value = "picture";
  }

  /** Go on with a result: it becomes the picture to work on. */
  async goOn(address: string): Promise<void> {
    if (!this.form.picture) return;
    await this.form.take(this.form.picture, address);
    this.view.value = "picture";
  }

  /** New pictures, from wherever: dropped, pasted, chosen. */
  async bring(files: File[], name?: string): Promise<void> {
    const named = this.form.fields.find((field) => field.name === name);
    const field = named && ["image", "images"].includes(named.kind) ? named : this.form.picture;
    const pictures = files.filter((file) => file.type.startsWith("image/"));
    if (!field || !pictures.length) return;
    this.view.value = "picture";
    await this.form.choose(field, pictures);
  }

  private async open(): Promise<void> {
    const [, id] = /^#request=([\w-]+)$/.exec(location.hash) ?? [];
    const [, address] = /^#picture=(.+)$/.exec(location.hash) ?? [];
    const draft = readDraft(this.page.model.model_id);
    const [example] = this.page.examples;
    if (draft) await this.form.fill(draft);
    else if (example) await this.form.fill(example.input);
    if (address && local(decodeURIComponent(address))) await this.goOn(decodeURIComponent(address));
    effect(() => keepDraft(this.page.model.model_id, this.form));
    if (!this.page.account) return;
    await this.history.load();
    if (id) this.show(this.history.find(id) ?? new Job(id));
  }

  private async submit(body: JsonObject): Promise<Job> {
    if (!this.attempt || !same(this.attempt.body, body)) this.attempt = { body, key: randomKey() };
    const headers = { "Idempotency-Key": this.attempt.key };
    try {
      const path = `/v1/models/${this.page.model.model_id}`;
      const { request_id } = await call<{ request_id: string }>(path, { json: body, headers });
      this.attempt = null;
      return new Job(request_id, body);
    } catch (error) {
      if (error instanceof Refusal) this.attempt = null;
      throw error;
    }
  }

  private stop(error: unknown): void {
    if (!(error instanceof Refusal || error instanceof Offline)) throw error;
    const kind = error instanceof Offline ? "offline" : (KINDS[error.status] ?? "refused");
    this.stopped.value = { kind, message: error.message };
    if (error instanceof Refusal && error.fields.length) {
      this.form.refuse(error);
      this.toFix.value = { field: error.fields[0]?.field ?? "" };
    }
  }
}

const KINDS: Record<number, Stopped["kind"]> = { 401: "login", 402: "credits" };

/** Not `randomUUID`: that one is missing where a page came over plain HTTP from another machine. */
function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
