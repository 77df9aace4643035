/**
 * The text form of who votes in the metadata quorum, in the setting `controller.quorum.voters`:
 *
 *   voters := '' | voter *( ',' voter )
 *   voter  := node id '@' host ':' port        an IPv6 address stands in brackets
 *
 * It says who makes up a new cluster and where its voters are; who votes later is in the metadata log.
 */
import { VOTERS_MAX } from '../raft/voter-set.ts'

export interface QuorumVoter {
  readonly nodeId: number
  readonly host: string
  /** Of a listener that takes WebSockets; 1 to 65,535. */
  readonly port: number
}

const VOTER = /^(\d{1,10})@(\[[0-9a-fA-F:.]+\]|[^[\]:/@,\s]{1,253}):(\d{1,5})$/
const NODE_ID_MAX = 0x7fff_ffff
const PORT_MAX = 65_535

/**
 * @returns The voters in the order given, none for an empty text; undefined when the text is no list of voters, names
 *   one node or one address twice, or more than `VOTERS_MAX`.
 */
export function parseQuorumVoters(text: string): readonly QuorumVoter[] | undefined {
  if (text.trim() === '') return []
  const parts = text.split(',')
  const voters = parts.map(parseQuorumVoter).filter((voter) => voter !== undefined)
  const isWhole = voters.length === parts.length && voters.length <= VOTERS_MAX
  const hasDistinctIds = new Set(voters.map(({ nodeId }) => nodeId)).size === voters.length
  const hasDistinctAddresses = new Set(voters.map(peerUrl)).size === voters.length
  return isWhole && hasDistinctIds && hasDistinctAddresses ? voters : undefined
}

/** The URL at which other nodes reach a listener. */
export function peerUrl({ host, port }: { readonly host: string; readonly port: number }): string {
  return `ws://${host.includes(':') ? `[${host}]` : host}:${port}/`
}

function parseQuorumVoter(text: string): QuorumVoter | undefined {
  const [, id, host, digits] = VOTER.exec(text.trim()) ?? []
  const nodeId = Number(id)
  const port = Number(digits)
  if (host === undefined || nodeId > NODE_ID_MAX || port < 1 || port > PORT_MAX) return undefined
  return { nodeId, host: host.startsWith('[') ? host.slice(1, -1) : host, port }
}
