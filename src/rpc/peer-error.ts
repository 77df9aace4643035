/** What an attempt to connect to another node of the cluster fails with. */
import type { RefusalCode } from './peer-messages.ts'

export type PeerErrorCode =
  | RefusalCode
  /** Nobody has said yet where the node is. */
  | 'PEER_ADDRESS_UNKNOWN'
  /** No connection came about; `cause` is the `NetworkError`. */
  | 'PEER_UNREACHABLE'
  /** The connection broke before the handshake was through. */
  | 'PEER_LOST'

export class PeerError extends Error {
  override readonly name = 'PeerError'
  readonly code: PeerErrorCode
  /** The message without what was attempted; begins in lower case unless the cause is somebody else's error. */
  readonly reason: string

  constructor(
    code: PeerErrorCode,
    reason: string,
    options: ErrorOptions & { readonly attempt?: string } = {},
  ) {
    const { attempt, ...rest } = options
    super(attempt === undefined ? reason : `${attempt}: ${reason}`, rest)
    this.code = code
    this.reason = reason
  }
}
