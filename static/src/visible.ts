/**
 * Makes every character of a text visible. The text comes from a model or another server and may have been manipulated.
 * Nothing in it may hide or look like something else. Pure.
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

/** Invisible characters that belong to visible ones: one emoji, one word. */
const NEEDED = `${PICTURE}(?:\\u200d${PICTURE})*|[0-9#*]\\ufe0f\\u20e3|(?<=[${JOINED}])[\\u200c\\u200d](?=[${JOINED}])`;

/**
 * Characters that are invisible, look like a space, or change the direction of the text (Unicode TR36, "bidirectional
 * text spoofing"). They are matched by Unicode's properties, so future ones are included. Three characters are drawn
 * empty but have none of these properties.
 */
const HIDDEN =
  "[\\p{Default_Ignorable_Code_Point}\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}\\p{Zs}\\u2800\\ufffc\\u{1d159}]";

const EITHER = new RegExp(`(${NEEDED})|${HIDDEN}`, "gu");

/** Writes such characters out. Spaces, line feeds and tabs stay. */
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

/** Like `visible`; also marks letters that look like the letters around them: `pаypal` with a Cyrillic а. */
export function unmistakable(text: string): string {
  const named = text.replace(WORD, (word) =>
    LATIN.test(word) ? word.replace(ALIKE, (char) => char + written(char)) : word,
  );
  return visible(named);
}

/** Characters that are invisible at the edge of a text. */
const EDGE = " \n\t";

/** Like `unmistakable`; also writes out spaces and line feeds at both ends, which are invisible there. */
export function wholly(text: string): string {
  const shown = unmistakable(text);
  // Without a regular expression: one that searches the end of a text would try again at each of a hundred thousand
  // spaces.
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
