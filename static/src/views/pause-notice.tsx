/** Says that a limit is reached, counts down, and then offers to send the message that is still in the text field. */
import { useEffect, useState } from "preact/hooks";
import { resumesAt } from "../state/pause.ts";

export function PauseNotice({ hasDraft, onSend }: { hasDraft: boolean; onSend: () => void }) {
  const until = resumesAt.value;
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (until === null) return;
    setNow(Date.now());
    const timer = setInterval(() => {
      setNow(Date.now());
      if (Date.now() >= until) clearInterval(timer);
    }, 250);
    return () => clearInterval(timer);
  }, [until]);
  if (until === null) return null;
  const leftS = Math.ceil((until - now) / 1000);
  if (leftS > 0) {
    return (
      <p class="notice mb-2" role="status">
        That was a lot in a short time. Your message stays here.
        {/* Not read aloud every second. */}
        <span class="tabular-nums" aria-hidden="true">
          Go on in {leftS} s.
        </span>
      </p>
    );
  }
  return (
    <p class="notice mb-2" role="status">
      You can go on now.
      {hasDraft && (
        <button type="button" class="underline" onClick={onSend}>
          Send the message
        </button>
      )}
    </p>
  );
}
