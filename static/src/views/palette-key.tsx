/** Opens the palette with Ctrl+K or Cmd+K. Its code is loaded when it is first wanted. */
import { useEffect, useState } from "preact/hooks";
import type { User } from "../types.ts";
import { announce } from "./announce.tsx";

type Palette = typeof import("./palette.tsx").Palette;

export function PaletteKey({ user }: { user: User }) {
  const [Palette, setPalette] = useState<Palette | null>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const { altKey, shiftKey, ctrlKey, metaKey } = event;
      if (event.key.toLowerCase() !== "k" || altKey || shiftKey || !(ctrlKey || metaKey)) return;
      event.preventDefault();
      // A dialog is about something that comes first.
      if (document.querySelector("dialog[open]") !== null) return;
      void import("./palette.tsx").then(
        (loaded) => setPalette(() => loaded.Palette),
        () => announce("That cannot be loaded at the moment"),
      );
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return Palette === null ? null : <Palette user={user} onClose={() => setPalette(null)} />;
}
