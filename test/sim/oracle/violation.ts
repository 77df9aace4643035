/** What the oracle throws: an invariant of docs/faults.md section 3 that does not hold, by its ID. */
export class Violation extends Error {
  override readonly name = 'Violation'
  /** As in docs/faults.md: `R7`, `M2`. */
  readonly id: string

  constructor(id: string, what: string) {
    super(`${id}: ${what}`)
    this.id = id
  }
}

export function fail(id: string, what: string): never {
  throw new Violation(id, what)
}
