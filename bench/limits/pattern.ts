/** Bytes that do not compress well and are the same in every run: a multiplicative generator with a fixed start. */
export function patternedBytes(count: number): Buffer {
  const bytes = Buffer.allocUnsafe(count)
  let state = 0x2545f491
  for (let index = 0; index < count; index++) {
    state = Math.imul(state, 1_664_525) + 1_013_904_223
    bytes[index] = state >>> 24
  }
  return bytes
}
