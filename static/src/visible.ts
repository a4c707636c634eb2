/**
 * Makes text show what it is made of. It comes from a model, or from somebody's server, that may have been talked into
 * something: nothing in it may hide, or look like other than it is. Pure.
 */

/** Scripts whose words need joiners between their letters. */
const JOINED = [
  "Arab",
  "Syrc",
  "Deva",
  "Beng",
  "Guru",
  "Gujr",
  "Orya",
  "Taml",
  "Telu",
  "Knda",
  "Mlym",
  "Sinh",
  "Khmr",
  "Mymr",
]
  .map((script) => `\\p{Script_Extensions=${script}}`)
  .join("");

const PICTURE = "\\p{Extended_Pictographic}\\p{Emoji_Modifier}?\\ufe0f?";

/** Where a character that cannot be seen is part of what can: one emoji, one word. */
const NEEDED = `${PICTURE}(?:\\u200d${PICTURE})*|[0-9#*]\\ufe0f\\u20e3|(?<=[${JOINED}])[\\u200c\\u200d](?=[${JOINED}])`;

/**
 * What cannot be seen, looks like a space, or turns the text around it (Unicode TR36, "bidirectional text spoofing"):
 * by Unicode's properties, so that what it will add is covered. Three are drawn empty and are in none of them.
 */
const HIDDEN =
  "[\\p{Default_Ignorable_Code_Point}\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}\\p{Zs}\\u2800\\ufffc\\u{1d159}]";

const EITHER = new RegExp(`(${NEEDED})|${HIDDEN}`, "gu");

/** The text with such characters written out. Spaces, line feeds and tabs stay. */
export function visible(text: string): string {
  return text.replace(EITHER, (char, needed: string | undefined) =>
    needed !== undefined || char === " " || char === "\n" || char === "\t" ? char : written(char),
  );
}

const WORD = /[\p{L}\p{M}\p{N}_]+/gu;
const LATIN = /\p{Script=Latin}/u;
/** Scripts with letters that look like Latin ones. */
const ALIKE =
  /[\p{Script=Cyrillic}\p{Script=Greek}\p{Script=Armenian}\p{Script=Cherokee}\p{Script=Coptic}\p{Script=Lisu}]/gu;

/** As `visible`, and letters that stand among others which they look like are named, too: `pаypal` with a Cyrillic а. */
export function unmistakable(text: string): string {
  const named = text.replace(WORD, (word) =>
    LATIN.test(word) ? word.replace(ALIKE, (char) => char + written(char)) : word,
  );
  return visible(named);
}

/** What nobody sees at the edge of a text. */
const EDGE = " \n\t";

/** A text by itself: spaces and lines at its ends, which nobody sees, are written out as well. */
export function wholly(text: string): string {
  const shown = unmistakable(text);
  // By hand: an expression that looks for the end of a text tries again at each of a hundred thousand spaces within it.
  let from = 0;
  let to = shown.length;
  while (from < to && EDGE.includes(shown.charAt(from))) from++;
  while (from < to && EDGE.includes(shown.charAt(to - 1))) to--;
  const ends = (part: string) => Array.from(part, written).join("");
  return ends(shown.slice(0, from)) + shown.slice(from, to) + ends(shown.slice(to));
}

function written(char: string): string {
  return `⟨U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}
