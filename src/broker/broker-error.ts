/** What starting a broker fails with, where no part of it has an error of its own. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: 'BROKER_NOT_REGISTERED'

  constructor(code: BrokerError['code'], message: string) {
    super(message)
    this.code = code
  }
}
