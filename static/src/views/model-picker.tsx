/** Who answers: a quiet choice below the text field, if there is one. */
import { announce } from "./announce.tsx";
import { answeringModel, busy, chooseModel } from "../state/chat.ts";
import { models } from "../state/models.ts";
import type { Model } from "../types.ts";
import { money } from "./amounts.ts";
import { visible } from "../visible.ts";

export function ModelPicker() {
  const offered = models.value;
  const chosen = answeringModel.value;
  if (offered.length < 2 || chosen === null) return null;
  // A conversation may name a model that a list does not have.
  const isListed = offered.some(({ id }) => id === chosen);
  const choose = async (id: string) => {
    if (await chooseModel(id)) announce(`${id} answers from now on`);
  };
  return (
    <div class="mt-1.5 flex min-w-0 ps-3 text-xs text-soft">
      <select
        aria-label="Model"
        class="field-sizing-content max-w-full min-w-0 cursor-pointer truncate rounded-lg bg-transparent px-1.5 py-1 hover:bg-hover hover:text-ink pointer-coarse:h-11"
        value={chosen}
        disabled={busy.value}
        title={describe(offered.find(({ id }) => id === chosen))}
        onChange={(event) => void choose(event.currentTarget.value)}
      >
        {!isListed && <option value={chosen}>{visible(chosen)}</option>}
        {offered.map((model) => (
          <option key={model.id} value={model.id} title={describe(model)}>
            {visible(model.id)}
          </option>
        ))}
      </select>
    </div>
  );
}

/** What is known about a model, in a line. */
function describe(model: Model | undefined): string {
  if (model === undefined) return "";
  const known = [
    model.providers === undefined ? "" : `from ${model.providers.join(", then ")}`,
    model.context_window_tokens ? `${model.context_window_tokens.toLocaleString()} tokens` : "",
    model.sees ? "sees pictures" : "",
    model.calls_tools === false ? "calls no tools" : "",
    model.reasons ? "reasons" : "",
    priceOf(model),
  ];
  return known.filter((word) => word !== "").join(" · ");
}

function priceOf({ price }: Model): string {
  if (!price) return "";
  const of = (amount: number) => money(amount * 1_000_000, price.currency);
  return `${of(price.input)} a million tokens read, ${of(price.output)} written`;
}
