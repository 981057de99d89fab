/** One's own requests to this model, the newest first. */
import { signal } from "@preact/signals";

import { Job } from "./jobs";
import { isObject, type JsonObject } from "./json";

const MOST = 40;

export class History {
  readonly jobs = signal<Job[]>([]);

  constructor(private readonly modelId: string) {}

  async load(): Promise<void> {
    const jobs = this.read().map(({ id, input, createdAt }) => new Job(id, input, createdAt));
    this.jobs.value = jobs;
    for (const job of jobs.slice(0, 12)) job.follow();
  }

  add(job: Job): void {
    this.jobs.value = [job, ...this.jobs.value];
    const kept = this.jobs.value.slice(0, MOST).map(({ id, input, createdAt }) => ({ id, input, createdAt }));
    localStorage.setItem(this.key, JSON.stringify(kept));
  }

  find(id: string): Job | undefined {
    return this.jobs.value.find((job) => job.id === id);
  }

  running(): Job | undefined {
    return undefined;
  }

  private get key(): string {
    return `safelight:requests:${this.modelId}`;
  }

  private read(): { id: string; input: JsonObject; createdAt: string }[] {
    try {
      const kept: unknown = JSON.parse(localStorage.getItem(this.key) ?? "[]");
      return Array.isArray(kept) ? kept.filter(isObject).map((one) => one as never) : [];
    } catch {
      return [];
    }
  }
}
