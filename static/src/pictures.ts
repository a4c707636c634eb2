/**
 * Scales pictures before they are uploaded: models look at no more pixels than this, and a photo of a phone has ten times as many. What the browser cannot
 * draw stays as it is.
 */

/** The longest side that models look at without scaling it themselves. */
const MAX_SIDE = 1_568;
/** A picture that models take, and that has neither more bytes nor longer sides, stays as it is. */
const SMALL_BYTES = 400_000;
/** Photos look the same from here on. */
const QUALITY = 0.85;
/** Not GIF, which may move. */
const DRAWN = new Set(["image/png", "image/jpeg", "image/webp", "image/avif", "image/bmp", "image/heic", "image/heif"]);

/** The width and height with which a picture fits. */
export function fitting(width: number, height: number): { width: number; height: number } {
  const factor = Math.min(1, MAX_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
}

/** The picture as it is uploaded. */
export async function scaled(file: File): Promise<File> {
  if (!DRAWN.has(file.type)) return file;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (bitmap === null) return file;
  try {
    const { width, height } = fitting(bitmap.width, bitmap.height);
    const isKnown = file.type === "image/png" || file.type === "image/jpeg" || file.type === "image/webp";
    if (isKnown && width === bitmap.width && file.size <= SMALL_BYTES) return file;
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    if (context === null) return file;
    // JPEG has no transparency: what is behind a page is white.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    if (blob === null || (isKnown && blob.size >= file.size)) return file;
    return new File([blob], file.name.replace(/\.[^.]*$/, "") + ".jpg", { type: blob.type });
  } finally {
    bitmap.close();
  }
}
