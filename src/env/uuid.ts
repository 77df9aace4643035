/**
 * Draws ids for the randomness port: 128 bits in Kafka's text form, 22 characters of unpadded base64url.
 * The bits are uniform; unlike RFC 9562 no version bits are set, which Kafka does not look at either.
 */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** Kafka keeps these for "no id" and for the metadata topic. */
const RESERVED: ReadonlySet<string> = new Set(['AAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAQ'])

/**
 * @param fill - Fills the 16 bytes it is given with random ones; called again when the id may not be used.
 * @returns Never a reserved id and never one with a leading `-`.
 */
export function drawUuid(fill: (bytes: Uint8Array) => void): string {
  const bytes = new Uint8Array(16)
  for (;;) {
    fill(bytes)
    const text = base64url(bytes)
    if (!text.startsWith('-') && !RESERVED.has(text)) return text
  }
}

function base64url(bytes: Uint8Array): string {
  let text = ''
  for (let index = 0; index < bytes.length; index += 3) {
    const group = (bytes[index]! << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0)
    const characters = Math.min(4, bytes.length - index + 1)
    for (let place = 0; place < characters; place++) text += ALPHABET[(group >> (18 - 6 * place)) & 63]!
  }
  return text
}
