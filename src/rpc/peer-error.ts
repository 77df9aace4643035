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

  constructor(code: PeerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
