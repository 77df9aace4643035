/**
 * Assertions: checks of what must hold if the code is right. They stay on in production; a failed one stops the
 * broker, since a wrong broker that goes on is worse than one that stopped.
 */

/** A broken invariant: a defect in Millrace itself, never the fault of input. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
  readonly code = 'ASSERTION_FAILED'
}

/** Throws `AssertionError` unless `condition` holds. The message says what was expected and found. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message)
}

/**
 * Says that an invariant is broken. For hot paths, `if (!holds) broken(…)`: the message of `assert` is put together whether it is
 * needed or not, which costs more than most checks.
 */
export function broken(message: string): never {
  throw new AssertionError(message)
}

/** The default branch of an exhaustive switch: does not compile while a case is missing. */
export function assertNever(value: never): never {
  throw new AssertionError(`Unexpected variant: ${JSON.stringify(value)}`)
}
