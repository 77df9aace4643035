/** What went wrong while a broker was stopped: everything is tried, and told at the end. */
import { BrokerError } from './broker-error.ts'

export class Faults {
  readonly #found: unknown[] = []

  async during(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#found.push(error)
    }
  }

  /** @throws {BrokerError} `BROKER_NOT_CLOSED_CLEANLY`. */
  throwIfAny(): void {
    if (this.#found.length === 0) return
    const texts = this.#found.map((fault) => (fault instanceof Error ? fault.message : String(fault)))
    throw new BrokerError(
      'BROKER_NOT_CLOSED_CLEANLY',
      `The broker has stopped, and not all could be saved: ${texts.join('; ')}`,
      { cause: this.#found[0] },
    )
  }
}
