/** What the request would cost, asked of the server for exactly this body. */
import { effect, signal } from "@preact/signals";

import { call, Refusal } from "./api";
import type { Form } from "./form/state";
import type { Page } from "./page";

export interface Quote {
  cost: number;
  balance_usd: number;
}

const PAUSE_MS = 400;

export class Price {
  readonly quote = signal<Quote | null>(null);
  private isOffered = true;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking: AbortController | undefined;

  constructor(
    private readonly page: Page,
    form: Form,
  ) {
    effect(() => {
      const body = form.body.value;
      const isWhole = !Object.keys(form.problems.value).length;
      clearTimeout(this.timer);
      if (isWhole && page.account) this.timer = setTimeout(() => void this.ask(body), PAUSE_MS);
    });
  }

  get coversIt(): boolean {
    const quote = this.quote.value;
    return !quote || this.page.account?.unmetered === true || quote.balance_usd >= quote.cost;
  }

  private async ask(json: Form["body"]["value"]): Promise<void> {
    if (!this.isOffered) return;
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      this.quote.value = await call<Quote>(`/v1/models/${this.page.model.model_id}/quote`, { json, signal });
    } catch (error) {
      if (error instanceof Refusal && error.status === 404) this.isOffered = false;
    }
  }
}

/** $0.0025, $1.50: an amount as exact as it is. */
export function usd(amount: number): string {
  const [whole, cents = ""] = amount.toFixed(6).replace(/0+$/, "").split(".");
  return `$${whole}.${cents.padEnd(2, "0")}`;
}
