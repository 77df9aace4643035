/**
 * What starting and stopping a broker fail with, where no part of it has an error of its own.
 *
 * - `BROKER_NOT_REGISTERED`: the controller refused it.
 * - `BROKER_REFUSED`: the nodes of the cluster will not talk to it, and that will not pass by itself.
 * - `BROKER_CLUSTER_UNCLEAR`: the settings do not say enough about the cluster that it is to be part of.
 * - `BROKER_START_ABORTED`: whoever started it has changed their mind.
 * - `BROKER_KILLED`: `kill` was called; a test wants to see what becomes of the others.
 * - `BROKER_REPLACED`: the cluster knows this process no more; another one has its id, or the id was removed.
 * - `BROKER_NOT_CLOSED_CLEANLY`: it has stopped, and something could not be saved; the message says what.
 */
export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code:
    | 'BROKER_NOT_REGISTERED'
    | 'BROKER_REFUSED'
    | 'BROKER_CLUSTER_UNCLEAR'
    | 'BROKER_START_ABORTED'
    | 'BROKER_KILLED'
    | 'BROKER_REPLACED'
    | 'BROKER_NOT_CLOSED_CLEANLY'

  constructor(code: BrokerError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
