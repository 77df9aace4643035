/**
 * What the settings say of the cluster that a node belongs to: whether it is enough to start with, and where the other
 * nodes are.
 */
import type { FileSystem, LogFields } from '../env/index.ts'
import { META_PROPERTIES } from '../log/file-names.ts'
import type { ClusterImage } from '../metadata/cluster-image.ts'
import { hasNoPart, METADATA_DIRECTORY } from '../raft/metadata-log.ts'
import type { BrokerConfig } from './broker-config.ts'
import { BrokerError } from './broker-error.ts'
import { peerUrl } from './quorum-voters.ts'

/** Names and addresses that no other machine can mean. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$|\.in-process$/i
/** Listeners without a socket take nodes of the same process whatever they speak. */
const IN_PROCESS = /\.in-process$/

/**
 * Refuses settings with which a node of a cluster would start and never find the others.
 *
 * @throws {BrokerError} `BROKER_CLUSTER_UNCLEAR`; the message says what to set.
 */
export async function checkClusterConfig(
  files: FileSystem,
  config: BrokerConfig,
  directory: string,
): Promise<void> {
  const { nodeId, quorumVoters, clusterId, clusterSecret, listeners } = config
  if (quorumVoters.length === 0) return
  const refuse = (problem: string): never => {
    throw new BrokerError('BROKER_CLUSTER_UNCLEAR', `Cannot start node ${nodeId} of a cluster: ${problem}`)
  }
  if (clusterId === '' && (await files.stat(`${directory}/${META_PROPERTIES}`)) === null) {
    refuse(
      'cluster.id is not set, and the data directory is new. Set the same on every node, 22 letters, digits, dashes or underscores of your choice',
    )
  }
  const away = quorumVoters.find(({ host }) => !LOOPBACK.test(host))
  if (clusterSecret === null && away !== undefined) {
    refuse(
      `cluster.secret is not set, and node ${away.nodeId} is on ${away.host}. Set the same secret on every node, so that they can prove to each other who they are`,
    )
  }
  if (listeners.every(({ protocol, host }) => protocol === 'kafka' && !IN_PROCESS.test(host))) {
    refuse('no listener takes WebSockets, by which nodes talk to each other. Use any:// or http:// for one')
  }
}

/**
 * Whether a data directory was made by starts that came to nothing: it has no partition, and its node has neither voted
 * nor learned anything of a cluster. A wrong cluster.id or node.id of such a start binds nobody.
 */
export async function isUnusedDirectory(files: FileSystem, directory: string): Promise<boolean> {
  for (const name of await files.list(directory)) {
    const isDirectory = (await files.stat(`${directory}/${name}`))?.kind === 'directory'
    if (isDirectory && name !== METADATA_DIRECTORY) return false
  }
  return hasNoPart(files, directory)
}

/**
 * What is wrong with the list of voters in the settings, or null. The cluster goes by its own; but the settings of one node
 * may have made it, and then a slip in them is part of the cluster: it must not pass unseen.
 *
 * @param voterIds - Of the cluster, as it is in effect.
 */
export function votersProblem({ quorumVoters }: BrokerConfig, voterIds: readonly number[]): string | null {
  const own = quorumVoters.map(({ nodeId }) => nodeId).sort((a, b) => a - b)
  const actual = [...voterIds].sort((a, b) => a - b)
  if (own.length === 0 || own.join() === actual.join()) return null
  return `controller.quorum.voters names the nodes ${own.join(', ')}, and the voters of the cluster are ${actual.join(', ')}: correct the setting, or the cluster if that is what is wrong`
}

/** That the settings say that this node votes, and the cluster knows better: harmless, and hardly what was meant. */
export function notVotingProblem(
  { nodeId, quorumVoters }: Pick<BrokerConfig, 'nodeId' | 'quorumVoters'>,
  voters: readonly { readonly id: number }[],
): { readonly message: string; readonly fields: LogFields } | null {
  const isMeantToVote = quorumVoters.some((voter) => voter.nodeId === nodeId)
  if (!isMeantToVote || voters.some(({ id }) => id === nodeId)) return null
  return {
    message:
      'controller.quorum.voters names this node, and the cluster does not let it vote: give it the list of the others',
    fields: {
      nodeId,
      given: quorumVoters.map((voter) => voter.nodeId).join(),
      voters: voters.map(({ id }) => id).join(),
    },
  }
}

/** The URL of another node: as `controller.quorum.voters` has it, else as the node has registered; null if it has not. */
export function peerAddress(nodeId: number, config: BrokerConfig, image: ClusterImage): string | null {
  const voter = config.quorumVoters.find((each) => each.nodeId === nodeId)
  if (voter !== undefined) return peerUrl(voter)
  // Listeners of one name are alike on all brokers: that is how clients find their way, too.
  const names = new Set(
    config.listeners.flatMap(({ name, protocol }) => (protocol === 'kafka' ? [] : [name])),
  )
  const listener = image.brokers.get(nodeId)?.listeners.find(({ name }) => names.has(name))
  return listener === undefined ? null : peerUrl(listener)
}
