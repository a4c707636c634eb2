/** Tokens and money as text, in the person's language. Pure. */

/** `12,345` tokens, or `€1.50`. Money comes in millionths; without a currency it is a plain number. */
export function amount(kind: string, value: number, currency: string): string {
  return kind.startsWith("cost") ? money(value, currency) : value.toLocaleString();
}

export function money(millionths: number, currency: string): string {
  const value = millionths / 1_000_000;
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: value < 1 ? 4 : 2 };
  return value.toLocaleString([], currency === "" ? digits : { ...digits, style: "currency", currency });
}
