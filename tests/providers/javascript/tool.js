// What the tools do, apart from being tools: nothing of the component is imported here, so that `node --test` can test it.

// A long loop holds up all that the instance is doing: bound the work.
export const TEXT_MAX_CHARS = 100_000;
const WORDS_PER_MINUTE = 230;

/** How many words a text has, and how many minutes reading it takes. The words of a RangeError tell the model what to do next. */
export function measure(text) {
  if (text.length > TEXT_MAX_CHARS) {
    throw new RangeError(`Send at most ${TEXT_MAX_CHARS} characters at once.`);
  }
  const words = text.match(/\p{L}[\p{L}\p{M}\p{N}'’-]*|\p{N}+/gu)?.length ?? 0;
  return { words, minutes: Math.ceil(words / WORDS_PER_MINUTE) };
}
