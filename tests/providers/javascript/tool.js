// The tools' own work. Nothing of the component is imported here, so that `node --test` can test it.

// A long loop delays all calls of the instance, so the work needs a limit.
export const TEXT_MAX_CHARS = 100_000;
const WORDS_PER_MINUTE = 230;

/**
 * The number of words in a text, and the minutes for reading it. The message of a RangeError tells the model what to do
 * next.
 */
export function measure(text) {
  if (text.length > TEXT_MAX_CHARS) {
    throw new RangeError(`Send at most ${TEXT_MAX_CHARS} characters at once.`);
  }
  const words = text.match(/\p{L}[\p{L}\p{M}\p{N}'’-]*|\p{N}+/gu)?.length ?? 0;
  return { words, minutes: Math.ceil(words / WORDS_PER_MINUTE) };
}
