/** One's own requests to this model, the newest first. */
import { signal } from "@preact/signals";

import { call } from "./api";
import { Job, type Result } from "./jobs";

const PAGE = 20;
const PAUSE_MS = 3000;

interface Page {
  requests: Result[];
  next_cursor: string | null;
}

export class History {
  readonly jobs = signal<Job[]>([]);
  /** Leads to older ones; null: there are none. */
  readonly older = signal<string | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly modelId: string) {}

  async load(): Promise<void> {
    const page = await this.ask();
    if (!page) return;
    this.take(page.requests);
    this.older.value = page.next_cursor;
  }

  async loadOlder(): Promise<void> {
    const page = this.older.value && (await this.ask(this.older.value));
    if (!page) return;
    this.jobs.value = [...this.jobs.value, ...page.requests.map((result) => Job.of(result))];
    this.older.value = page.next_cursor;
  }

  add(job: Job): void {
    this.jobs.value = [job, ...this.jobs.value];
    this.watch();
  }

  find(id: string): Job | undefined {
    return this.jobs.value.find((job) => job.id === id);
  }

  /** Learn of changes and of requests that were made elsewhere. */
  private take(results: Result[]): void {
    const fresh = results.filter((result) => !this.find(result.request_id)).map((result) => Job.of(result));
    for (const result of results) {
      const job = this.find(result.request_id);
      if (job && !job.isOver && !job.isFollowed) job.take(result);
    }
    if (fresh.length) this.jobs.value = [...fresh, ...this.jobs.value];
    this.watch();
  }

  /** While a request is under way that nobody follows, ask about all of them now and then. */
  private watch(): void {
    clearTimeout(this.timer);
    if (!this.jobs.value.some((job) => !job.isOver)) return;
    this.timer = setTimeout(() => void this.ask().then((page) => (page ? this.take(page.requests) : this.watch())), PAUSE_MS);
  }

  private ask(cursor = ""): Promise<Page | null> {
    const query = new URLSearchParams({ model_id: this.modelId, limit: String(PAGE), ...(cursor && { cursor }) });
    return call<Page>(`/v1/requests?${query}`).catch(() => null);
  }
}
