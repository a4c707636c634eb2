/** The fields of settings: what a model is told, and how it answers. For a conversation and for an assistant alike. */
import { useEffect, useId, useState } from "preact/hooks";
import { EFFORTS, MAX_INSTRUCTIONS_CHARS, numberOf, patternInWords, patternsToChoose, toggled } from "../settings.ts";
import { loadTools, toolList } from "../state/tools.ts";
import type { ModelSettings } from "../types.ts";
import { visible } from "../visible.ts";

const LABEL = "grid gap-0.5 text-xs text-soft";

export function ModelSettingsFields({
  settings,
  change,
}: {
  settings: ModelSettings;
  change: (settings: ModelSettings) => void;
}) {
  const set = (part: Partial<ModelSettings>) => change({ ...settings, ...part });
  return (
    <div class="grid gap-3">
      <label class={LABEL}>
        <span>Instructions</span>
        <textarea
          class="field h-auto min-h-24 py-2 text-sm text-ink"
          dir="auto"
          rows={4}
          maxLength={MAX_INSTRUCTIONS_CHARS}
          placeholder="What the model should know and how it should answer"
          value={settings.instructions ?? ""}
          onInput={(event) => set({ instructions: event.currentTarget.value || null })}
        />
      </label>
      <div class="grid gap-x-4 gap-y-3 sm:grid-cols-3">
        <NumberField
          label="Temperature, 0 to 2"
          value={settings.temperature}
          change={(temperature) => set({ temperature })}
        />
        <NumberField
          label="Longest answer, in tokens"
          value={settings.max_output_tokens}
          change={(max_output_tokens) => set({ max_output_tokens })}
        />
        <label class={LABEL}>
          <span>Reasoning effort</span>
          <select
            class="field text-sm text-ink"
            value={settings.reasoning_effort ?? ""}
            onChange={(event) =>
              set({ reasoning_effort: EFFORTS.find((effort) => effort === event.currentTarget.value) ?? null })
            }
          >
            <option value="">As usual</option>
            {EFFORTS.map((effort) => (
              <option key={effort} value={effort}>
                {effort}
              </option>
            ))}
          </select>
        </label>
      </div>
      <ToolChoice chosen={settings.tools} change={(tools) => set({ tools })} />
    </div>
  );
}

/** A number or nothing. What is being typed stays as it is typed: `0.` is on the way to a number. */
function NumberField({
  label,
  value,
  change,
}: {
  label: string;
  value: number | null;
  change: (value: number | null) => void;
}) {
  const [typed, setTyped] = useState("");
  return (
    <label class={LABEL}>
      <span>{label}</span>
      <input
        class="field text-sm text-ink"
        inputMode="decimal"
        pattern="[0-9]*\.?[0-9]*"
        title="A number, or nothing"
        placeholder="As usual"
        value={numberOf(typed) === value ? typed : `${value ?? ""}`}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          change(numberOf(event.currentTarget.value));
        }}
      />
    </label>
  );
}

/** Which tools may be used. It allows nothing that is not allowed anyway. */
function ToolChoice({ chosen, change }: { chosen: string[] | null; change: (chosen: string[] | null) => void }) {
  const name = useId();
  useEffect(() => void loadTools(), []);
  const list = toolList.value;
  const patterns = patternsToChoose(list.at === "ready" ? list.items : [], chosen ?? []);
  return (
    <fieldset class="grid gap-2 text-sm">
      <legend class="text-xs text-soft">Tools</legend>
      <div class="flex flex-wrap gap-x-5 gap-y-1">
        <label class="flex items-center gap-2 pointer-coarse:min-h-11">
          <input type="radio" name={name} checked={chosen === null} onChange={() => change(null)} />
          All that you may use
        </label>
        <label class="flex items-center gap-2 pointer-coarse:min-h-11">
          <input type="radio" name={name} checked={chosen !== null} onChange={() => change(chosen ?? [])} />
          Only these
        </label>
      </div>
      {chosen !== null && (
        <ul class="grid max-h-48 gap-1 overflow-y-auto rounded-xl border border-line px-3.5 py-2 sm:grid-cols-2" aria-label="Tools to choose">
          {patterns.map((pattern) => (
            <li key={pattern}>
              <label class="flex items-center gap-2 py-0.5 break-all pointer-coarse:min-h-11">
                <input
                  type="checkbox"
                  checked={chosen.includes(pattern)}
                  onChange={() => change(toggled(chosen, pattern))}
                />
                {visible(patternInWords(pattern))}
              </label>
            </li>
          ))}
          {patterns.length === 0 && <li class="text-soft">There are no tools.</li>}
        </ul>
      )}
    </fieldset>
  );
}
