/** A submitted request and its way through the queue, followed live and found again after a reload. */
import { batch, signal, type Signal } from "@preact/signals";

import { call, Offline, Refusal } from "./api";
import type { JsonObject } from "./json";

export type Phase = "in_queue" | "in_progress" | "succeeded" | "failed" | "cancelled";

export interface Lora {
  path?: string;
  scale?: number;
  [more: string]: unknown;
}

/** What `/v1/requests/{id}/result` says. */
export interface Result {
  request_id: string;
  status: Phase;
  model_id: string;
  created_at: string;
  finished_at: string | null;
  output?: { image?: string; images?: string[] };
  error?: { code: string; message: string };
  seed?: number;
  weights?: string;
  backend?: string;
  timings?: Record<string, number>;
  notes?: string[];
  loras?: Lora[];
  expanded_prompt?: string;
  cost?: number;
  /** What was sent, with its defaults; on demand. */
  input?: JsonObject;
}

const POLL_MS = 1000;
const LONGEST_PAUSE_MS = 10_000;
const ENDED: Phase[] = ["succeeded", "failed", "cancelled"];

export class Job {
  readonly phase = signal<Phase>("in_queue");
  /** How many go first; null: not known, or not waiting. */
  readonly ahead = signal<number | null>(null);
  readonly progress = signal<{ step: number; steps: number } | null>(null);
  /** What it looks like so far: a small picture as a data URI. */
  readonly preview = signal("");
  readonly result = signal<Result | null>(null);
  /** What was sent; null: not asked yet. */
  readonly input: Signal<JsonObject | null>;
  /** The server does not answer now; it is asked again, and works on meanwhile. */
  readonly unreachable = signal(false);
  readonly cancelling = signal(false);
  /** Nobody knows this request any more. */
  readonly gone = signal(false);
  private events: EventSource | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly id: string,
    input: JsonObject | null = null,
    readonly createdAt = new Date().toISOString(),
  ) {
    this.input = signal(input);
  }

  /** One of the history. */
  static of(result: Result): Job {
    const job = new Job(result.request_id, null, result.created_at);
    job.take(result);
    return job;
  }

  /** Whether it is followed: then it needs no asking. */
  get isFollowed(): boolean {
    return this.events !== null || this.timer !== undefined;
  }

  get isOver(): boolean {
    return ENDED.includes(this.phase.value) || this.gone.value;
  }

  get images(): string[] {
    const output = this.result.value?.output;
    return output?.images ?? (output?.image ? [output.image] : []);
  }

  /** Follow it to its end. A page has few connections: only the request on the stage holds one. */
  follow(): void {
    if (this.isFollowed) return;
    if (this.isOver) {
      if (!this.input.value) void this.poll();
      return;
    }
    const events = new EventSource(`/v1/requests/${this.id}/events`);
    this.events = events;
    const on = (name: string, take: (content: never) => void) =>
      events.addEventListener(name, (event) => {
        this.unreachable.value = false;
        take(JSON.parse((event as MessageEvent<string>).data) as never);
      });
    on("status", ({ status }: { status: string }) => this.enter(status));
    on("progress", (progress: { step: number; steps: number }) => {
      this.progress.value = progress;
    });
    on("preview", ({ image }: { image: string }) => {
      this.preview.value = image;
    });
    on("done", () => void this.poll());
    events.onerror = () => {
      this.unreachable.value = true;
      // The browser comes back by itself, with the last event's id, unless it was refused: then we ask.
      if (events.readyState === EventSource.CLOSED) this.pollSoon(POLL_MS);
    };
  }

  /** Stop following; the request itself goes on. */
  leave(): void {
    this.events?.close();
    this.events = null;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  /** Take it out of the queue, or stop it at its next step. Raises Refusal and Offline. */
  async cancel(): Promise<void> {
    this.cancelling.value = true;
    try {
      await call(`/v1/requests/${this.id}/cancel?running=true`, { method: "POST" });
    } catch (error) {
      this.cancelling.value = false;
      throw error;
    }
  }

  /** Learn what an answer tells. */
  take(result: Result): void {
    batch(() => {
      this.phase.value = result.status;
      this.input.value ??= result.input ?? null;
      if (ENDED.includes(result.status)) this.result.value = { ...this.result.value, ...result };
    });
  }

  private enter(status: string): void {
    if (status === "in_queue") {
      batch(() => {
        this.phase.value = "in_queue";
        this.progress.value = null;
        this.preview.value = "";
      });
      void this.askPosition();
    } else if (status === "in_progress") {
      this.phase.value = "in_progress";
      this.ahead.value = null;
    }
  }

  /** Events tell no positions: a queue moves without its jobs changing. */
  private async askPosition(): Promise<void> {
    while (this.events && this.phase.value === "in_queue") {
      const status = await call<{ queue_position?: number }>(`/v1/requests/${this.id}/status`).catch(() => null);
      if (status && this.phase.value === "in_queue") this.ahead.value = status.queue_position ?? null;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  private pollSoon(pause: number): void {
    this.leave();
    this.timer = setTimeout(() => void this.poll(pause), pause);
  }

  private async poll(pause = POLL_MS): Promise<void> {
    try {
      const result = await call<Result>(`/v1/requests/${this.id}/result?include_cost=true&include_input=true`);
      this.unreachable.value = false;
      this.take(result);
      if (this.isOver) this.leave();
      else this.pollSoon(POLL_MS);
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) {
        this.leave();
        this.gone.value = true;
      } else {
        this.unreachable.value = error instanceof Offline;
        this.pollSoon(Math.min(pause * 2, LONGEST_PAUSE_MS));
      }
    }
  }
}
