/** Saves a text as a file on the person's device. */

/** How long a browser may take to begin. The file is in memory until then. */
const KEPT_MS = 10_000;

export function save(name: string, text: string, type = "text/plain"): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}

/** The ending of a file in a language, where it is not the language's name. */
const ENDINGS: Record<string, string> = {
  bash: "sh",
  "c++": "cpp",
  csharp: "cs",
  golang: "go",
  javascript: "js",
  jsx: "jsx",
  kotlin: "kt",
  latex: "tex",
  markdown: "md",
  perl: "pl",
  plaintext: "txt",
  python: "py",
  ruby: "rb",
  rust: "rs",
  shell: "sh",
  text: "txt",
  typescript: "ts",
  yaml: "yml",
};

/** A name for a file with code. */
export function codeFile(language: string): string {
  const name = language.toLowerCase();
  const ending = ENDINGS[name] ?? (/^[a-z0-9]{1,8}$/.test(name) ? name : "txt");
  return `code.${ending}`;
}

/** RFC 4180. What a spreadsheet would run as a formula, it is to show: a table may have been copied from anywhere. */
export function csv(rows: readonly (readonly string[])[]): string {
  const cell = (text: string) => {
    const isNumber = text.trim() !== "" && Number.isFinite(Number(text.replaceAll(/[\s,%]/g, "")));
    const shown = /^[=+\-@\t]/.test(text) && !isNumber ? `'${text}` : text;
    return /[",\r\n]/.test(shown) ? `"${shown.replaceAll('"', '""')}"` : shown;
  };
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
