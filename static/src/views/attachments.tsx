/** Files beside a message: those that are attached to one that is being written, and those of one that was sent. */
import type { ComponentChildren } from "preact";
import { attachedTo, detach } from "../state/attachments.ts";
import type { AttachedFile, FileReading } from "../types.ts";
import { Icon } from "./icons.tsx";

/** The pictures that a browser shows. Others, such as pages, are only saved. */
const SHOWN = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

const addressOf = (file: AttachedFile) => `/api/files/${file.id}/content`;

/** A size for people: 1.4 MB. */
export function sizeInWords(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB"];
  let size = bytes;
  let unit = 0;
  for (; size >= 1_000 && unit < units.length - 1; unit++) size /= 1_000;
  return `${unit === 0 || size >= 100 ? Math.round(size) : Math.round(size * 10) / 10} ${units[unit]}`;
}

/** What a person should know of how a document is read for models; empty: nothing. */
export function readingInWords(reading: FileReading | null | undefined): string {
  switch (reading?.state) {
    case "queued":
    case "reading":
      return "Reading…";
    case "failed":
      return `Cannot be read: ${reading.detail ?? ""}`;
    case "read":
      if (reading.bytes === 0) return reading.notes.includes("scanned") ? "Scanned: no text in it" : "No text in it";
      return reading.notes.includes("scanned") ? "Some pages are scanned, and not read" : "";
    default:
      return "";
  }
}

function Chip({ children, wrong = false }: { children: ComponentChildren; wrong?: boolean }) {
  return (
    <li
      class={`flex max-w-full min-w-0 items-center gap-2 rounded-xl border py-1 ps-1.5 pe-1 text-sm ${wrong ? "border-transparent bg-danger-tint text-danger" : "border-line bg-raised"}`}
    >
      {children}
    </li>
  );
}

function Picture({ file }: { file: AttachedFile | null }) {
  if (file === null || !SHOWN.has(file.type)) return <Icon name="file" />;
  return <img src={addressOf(file)} alt="" class="size-9 shrink-0 rounded-lg object-cover" />;
}

/** Above the text field. */
export function Attached({ draftId }: { draftId: string }) {
  const attachments = attachedTo(draftId);
  if (attachments.length === 0) return null;
  return (
    <ul class="mb-2 flex max-h-40 flex-wrap gap-2 overflow-y-auto" aria-label="Attached files">
      {attachments.map(({ key, name, size, sent, file, reading, problem }) => (
        <Chip key={key} wrong={problem !== null}>
          <Picture file={file} />
          <span class="grid min-w-0">
            <bdi class="max-w-56 truncate">{name}</bdi>
            <span class={`text-xs ${problem === null ? "text-soft" : ""}`}>
              {problem ??
                (file === null
                  ? `Uploading… ${Math.floor((100 * sent) / Math.max(1, size))} %`
                  : [sizeInWords(size), readingInWords(reading)].filter(Boolean).join(" · "))}
            </span>
          </span>
          <button
            type="button"
            class="ghost-button shrink-0"
            aria-label={`Remove ${name}`}
            onClick={() => detach(draftId, key)}
          >
            <Icon name="close" size={14} />
          </button>
        </Chip>
      ))}
    </ul>
  );
}

/** With a message that was sent. */
export function MessageFiles({ files }: { files: readonly AttachedFile[] }) {
  if (files.length === 0) return null;
  return (
    <ul class="mb-1.5 flex flex-wrap justify-end gap-2" aria-label="Files">
      {files.map((file) =>
        SHOWN.has(file.type) ? (
          <li key={file.id}>
            <a href={addressOf(file)} download={file.name} title={file.name}>
              <img
                src={addressOf(file)}
                alt={file.name}
                class="max-h-56 max-w-full rounded-2xl border border-line object-contain"
                loading="lazy"
              />
            </a>
          </li>
        ) : (
          <Chip key={file.id}>
            <Icon name="file" />
            <a href={addressOf(file)} download={file.name} class="grid min-w-0 pe-2 hover:underline">
              <bdi class="max-w-56 truncate">{file.name}</bdi>
              <span class="text-xs text-soft">{sizeInWords(file.size)}</span>
            </a>
          </Chip>
        ),
      )}
    </ul>
  );
}
