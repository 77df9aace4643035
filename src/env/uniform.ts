/** Draws for the randomness port that favour no number. */
import { broken } from '../base/assert.ts'

/**
 * Uniform in `[0, bound)`: draws that fall into the incomplete last range are drawn again.
 *
 * @param bound - From 1 to 2^31.
 * @param drawUint32 - Uniform in `[0, 2^32)`.
 */
export function drawBelow(bound: number, drawUint32: () => number): number {
  if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 31)
    broken(`A bound is from 1 to 2^31: got ${bound}`)
  const fair = 2 ** 32 - (2 ** 32 % bound)
  for (;;) {
    const draw = drawUint32()
    if (draw < fair) return draw % bound
  }
}
