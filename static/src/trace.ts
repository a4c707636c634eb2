/**
 * Where in a trace a request is (W3C Trace Context): what the page asks for one answer is one trace, so that whoever runs
 * the installation finds all of it. Nothing is recorded here.
 */

/** More than one tab follows at a time. */
const MAX_RUNS = 16;

/** The context in which each run was begun, the oldest first. */
const contexts = new Map<string, string>();

/** The value of `traceparent` for a new trace. Its flag lets those on the way record it; this app decides by itself. */
export function newTrace(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `00-${digits.slice(0, 32)}-${digits.slice(32)}-01`;
}

/** A run was begun in this context. */
export function began(runId: string, context: string): void {
  contexts.set(runId, context);
  for (const oldest of contexts.keys()) {
    if (contexts.size <= MAX_RUNS) break;
    contexts.delete(oldest);
  }
}

/** The context in which a run was begun; one of its own for a run that was begun elsewhere. */
export function traceOf(runId: string): string {
  const context = contexts.get(runId) ?? newTrace();
  began(runId, context);
  return context;
}
