/** A table of an answer, and its buttons: it can be copied and saved for a spreadsheet. */
import type { ComponentChildren } from "preact";
import { useRef } from "preact/hooks";
import { csv, save } from "../saving.ts";
import { CopyButton } from "./copy.tsx";
import { Icon } from "./icons.tsx";

export function Table({ dir, growing, children }: { dir: "ltr" | "rtl" | "auto"; growing: boolean; children: ComponentChildren }) {
  const table = useRef<HTMLTableElement>(null);
  const text = () => csv(Array.from(table.current?.rows ?? [], (row) => Array.from(row.cells, (cell) => cell.innerText)));
  return (
    <div class="group/table">
      <div class="md-table" tabIndex={0} role="group" aria-label="Table">
        <table ref={table} dir={dir}>
          {children}
        </table>
      </div>
      {!growing && (
        <div class="flex justify-end opacity-0 transition-opacity group-focus-within/table:opacity-100 group-hover/table:opacity-100 pointer-coarse:opacity-100 print:hidden">
          <CopyButton text={text} label="Copy table as CSV" quiet />
          <button
            type="button"
            class="ghost-button"
            aria-label="Save table as CSV"
            title="Save table as CSV"
            onClick={() => save("table.csv", text(), "text/csv")}
          >
            <Icon name="save" />
          </button>
        </div>
      )}
    </div>
  );
}
