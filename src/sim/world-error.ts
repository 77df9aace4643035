/** What a simulated world fails with; failures of the code that runs in it pass through as they are. */

export type WorldErrorCode =
  /** An option or another argument cannot be what it is. */
  | 'WORLD_BAD_ARGUMENT'
  /** What was waited for did not come within its limit of virtual time. */
  | 'WORLD_TIMED_OUT'
  /** The world was closed, perhaps while something waited in it. */
  | 'WORLD_CLOSED'
  /** A client was asked of a machine whose process was killed and not restarted. */
  | 'WORLD_MACHINE_DOWN'

export class WorldError extends Error {
  override readonly name = 'WorldError'
  readonly code: WorldErrorCode

  constructor(code: WorldErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** Checks that an argument is a number in `[min, max]`. @throws {WorldError} `WORLD_BAD_ARGUMENT`. */
export function checkNumber(name: string, value: number, min: number, max = Infinity): number {
  if (typeof value === 'number' && value >= min && value <= max) return value
  const range = max === Infinity ? `${min} or more` : `${min} to ${max}`
  throw new WorldError('WORLD_BAD_ARGUMENT', `Cannot use ${name}: ${value}, wanted ${range}`)
}
