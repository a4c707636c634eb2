/** A list that comes page by page, and changes of single items of it. */
import { type Signal, signal } from "@preact/signals";
import { describe } from "../api.ts";
import type { Page } from "../types.ts";
import { endedBy } from "./session.ts";

export type PagesState<T> =
  | { at: "loading" }
  | { at: "failed"; reason: string }
  /** `fault`: why the next page did not come, or a change was not made. */
  | { at: "ready"; items: T[]; cursor: string | null; fault: string | null };

export class Pages<T> {
  readonly state: Signal<PagesState<T>> = signal<PagesState<T>>({ at: "loading" });
  readonly #ask: (cursor: string | null) => Promise<Page<T>>;
  readonly #key: (item: T) => string;
  /** What was asked before is not shown any more. */
  #asked = 0;

  constructor(ask: (cursor: string | null) => Promise<Page<T>>, key: (item: T) => string) {
    this.#ask = ask;
    this.#key = key;
  }

  /** From the beginning. What is shown stays until there is something else. */
  async load(): Promise<void> {
    const asked = ++this.#asked;
    if (this.state.value.at === "failed") this.state.value = { at: "loading" };
    try {
      const { items, next_cursor } = await this.#ask(null);
      if (asked === this.#asked) this.state.value = { at: "ready", items, cursor: next_cursor, fault: null };
    } catch (error) {
      if (!endedBy(error) && asked === this.#asked) this.state.value = { at: "failed", reason: describe(error) };
    }
  }

  async more(): Promise<void> {
    const before = this.state.value;
    if (before.at !== "ready" || before.cursor === null) return;
    const asked = ++this.#asked;
    try {
      const { items, next_cursor } = await this.#ask(before.cursor);
      const now = this.state.value;
      if (asked !== this.#asked || now.at !== "ready") return;
      this.state.value = { at: "ready", items: [...now.items, ...items], cursor: next_cursor, fault: null };
    } catch (error) {
      if (!endedBy(error) && asked === this.#asked) this.#blame(describe(error));
    }
  }

  /** Makes a change; what it gives back takes the item's place, and `null` takes it out. True when it was made. */
  async change(item: T, make: () => Promise<T | null>): Promise<boolean> {
    try {
      const changed = await make();
      const now = this.state.value;
      if (now.at !== "ready") return true;
      const isMeant = (other: T) => this.#key(other) === this.#key(item);
      const items = now.items.flatMap((other) => (isMeant(other) ? (changed === null ? [] : [changed]) : [other]));
      this.state.value = { ...now, items, fault: null };
      return true;
    } catch (error) {
      if (!endedBy(error)) this.#blame(describe(error));
      return false;
    }
  }

  /** Puts what was just made in front. */
  add(item: T): void {
    const now = this.state.value;
    if (now.at === "ready") this.state.value = { ...now, items: [item, ...now.items] };
  }

  #blame(fault: string): void {
    const now = this.state.value;
    if (now.at === "ready") this.state.value = { ...now, fault };
  }
}
