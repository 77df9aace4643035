/**
 * The randomness port. Adapters: the operating system's (`env/node`), a seeded one (`env/sim`), Web Crypto
 * (`env/browser`).
 */

export interface Random {
  /** Uniform integer in `[0, bound)`. `bound` is from 1 to 2^31. */
  below(bound: number): number

  /**
   * A fresh 128-bit id in Kafka's text form: 22 characters of unpadded base64url. Never one of the reserved ids
   * (all zero, or zero but for a last byte of 1) and never with a leading `-`, which command lines take for a flag.
   */
  uuid(): string
}
