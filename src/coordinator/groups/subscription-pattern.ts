/**
 * The door to `re2js`: regular expressions that clients subscribe with (KIP-848), in RE2's syntax as in Kafka, matched in time
 * linear in the name, whatever the expression (docs/decisions/0005-linear-time-patterns.md).
 *
 * Linear still has a factor: the size of the compiled program. Both the text and the program are bounded, so that the most
 * hostile expression costs tens of milliseconds to compile and as much for the longest topic name; who matches many names
 * does it in slices (consumer/pattern-resolver.ts).
 */
import { RE2JS } from 're2js'

/** Text of an expression in characters: more than the longest name of a topic, and 20 usual ones in an alternation. */
export const PATTERN_LENGTH_MAX = 512

/** Instructions of a compiled expression; `orders-.*` has some 10. `a{30}` nested thrice would have 27,000. */
export const PATTERN_PROGRAM_SIZE_MAX = 1000

export class SubscriptionPattern {
  readonly #program: RE2JS

  private constructor(program: RE2JS) {
    this.#program = program
  }

  /** @returns The compiled expression, or what is wrong with it, for people. */
  static compile(text: string): SubscriptionPattern | string {
    if (text.length > PATTERN_LENGTH_MAX) {
      return `Subscribed with a regular expression: it has ${text.length} characters, at most ${PATTERN_LENGTH_MAX} are allowed`
    }
    let program: RE2JS
    try {
      program = RE2JS.compile(text)
    } catch (error) {
      // Whatever the parser throws at a text, it says that the text is no expression.
      return `Subscribed with a regular expression: ${error instanceof Error ? error.message : String(error)}`
    }
    const size = program.programSize()
    if (size > PATTERN_PROGRAM_SIZE_MAX) {
      return `Subscribed with a regular expression: it compiles to ${size} instructions, at most ${PATTERN_PROGRAM_SIZE_MAX} are allowed`
    }
    return new SubscriptionPattern(program)
  }

  /** Whether the expression matches the whole name. */
  matches(name: string): boolean {
    return this.#program.testExact(name)
  }
}
