/** What the request would cost, asked of the server for exactly this body. */
import { effect, signal } from "@preact/signals";

import { call, Offline, Refusal } from "./api";
import type { Form } from "./form/state";
import type { JsonObject } from "./json";
import type { Page } from "./page";

export interface Quote {
  cost: number;
  /** What comes out decides, up to the cost. */
  at_most: boolean;
  balance_usd: number;
}

const PAUSE_MS = 400;
/** Stands for a mask that is still being painted: what is repainted changes no price. */
const ANY_MASK = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC";

export class Price {
  readonly quote = signal<Quote | null>(null);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking: AbortController | undefined;

  constructor(
    private readonly page: Page,
    private readonly form: Form,
  ) {
    effect(() => this.askSoon(form.body.value, Object.keys(form.problems.value).length === 0));
  }

  get coversIt(): boolean {
    const quote = this.quote.value;
    return !quote || this.page.account?.unmetered === true || quote.balance_usd >= quote.cost;
  }

  /** Ask again: something was charged. */
  again(): void {
    this.askSoon(this.form.body.peek(), Object.keys(this.form.problems.peek()).length === 0);
  }

  private askSoon(body: JsonObject, isWhole: boolean): void {
    clearTimeout(this.timer);
    const asked = { ...body };
    const { mask } = this.form;
    if (mask && !asked[mask.name]) asked[mask.name] = ANY_MASK;
    const isHere = this.form.fields.every((field) => field.kind !== "image" || !field.required || asked[field.name]);
    if (!isWhole || !isHere || !this.page.account || !this.page.model.ready) return;
    this.timer = setTimeout(() => void this.ask(asked), PAUSE_MS);
  }

  private async ask(json: JsonObject): Promise<void> {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      this.quote.value = await call<Quote>(`/v1/models/${this.page.model.model_id}/quote`, { json, signal });
    } catch (error) {
      // What does not fit is said when it is run; until then the last price stands.
      if (!(error instanceof Refusal || error instanceof Offline || signal.aborted)) throw error;
    }
  }
}

/** $0.0025, $1.50: an amount as exact as it is. */
export function usd(amount: number): string {
  const [whole, cents = ""] = amount.toFixed(6).replace(/0+$/, "").split(".");
  return `$${whole}.${cents.padEnd(2, "0")}`;
}
