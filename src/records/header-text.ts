/**
 * Text of record header keys as UTF-8, written in place. Keys are short and nearly always ASCII, for which a loop beats
 * `TextEncoder` by an order of magnitude. Lone surrogates become U+FFFD, as in every encoder of the web.
 */

const encoder = new TextEncoder()

/** Bytes that `writeText` will take. */
export function textSize(text: string): number {
  let size = text.length
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit < 0x80) continue
    if (unit < 0x800) size += 1
    else if (isSurrogatePair(text, index)) {
      size += 2 // four bytes for two units
      index++
    } else size += 2
  }
  return size
}

/** Writes `text`, whose size the caller has made room for. @returns The position after it. */
export function writeText(bytes: Uint8Array, position: number, text: string): number {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index)
    if (unit >= 0x80) {
      const { written } = encoder.encodeInto(text.slice(index), bytes.subarray(position + index))
      return position + index + written
    }
    bytes[position + index] = unit
  }
  return position + text.length
}

function isSurrogatePair(text: string, index: number): boolean {
  const isHigh = (text.charCodeAt(index) & 0xfc00) === 0xd800
  return isHigh && (text.charCodeAt(index + 1) & 0xfc00) === 0xdc00
}
