/** `millrace cluster …`: the command tree of the family; describe and quorum. Voters are changed in quorum-voters.ts. */
import { Command } from 'commander'
import type { Client, QuorumDescription, QuorumReplica } from '../src/index.ts'
import type { OutputOptions } from './broker.ts'
import { healthCommand } from './cluster-health.ts'
import { BROKER_COLUMNS, viewCluster } from './cluster-view.ts'
import type { ClusterView } from './cluster-view.ts'
import { addConnectOptions, withClient } from './connect.ts'
import type { Context } from './context.ts'
import { silentVoterIds } from './health.ts'
import { counted } from './human.ts'
import { addVoterCommand, removeVoterCommand } from './quorum-voters.ts'
import { addOutputOption, formatJson, jsonLine, outputFormat, printRows, toObject } from './output.ts'
import type { Column } from './output.ts'

export function clusterCommand(context: Context): Command {
  return new Command('cluster')
    .description('Describe the cluster, tell whether it is well, show its metadata quorum')
    .addCommand(describeCommand(context))
    .addCommand(healthCommand(context))
    .addCommand(quorumCommand(context))
}

function describeCommand(context: Context): Command {
  const command = new Command('describe')
    .summary('show the cluster and its brokers')
    .description('Show the id of the cluster, how much it holds, and its brokers, those that are down too.')
  addOutputOption(command)
  return addConnectOptions(command).action((options: OutputOptions) =>
    withClient(context, options, async (client) => {
      const view = await viewCluster(client)
      const { out } = context
      const format = outputFormat(options.output, out)
      if (format === 'json') await out.line(formatJson(toJson(view)))
      else if (format === 'ndjson') await out.line(jsonLine(toJson(view)))
      else {
        if (format === 'table') await printHead(context, view)
        await printRows(out, format, BROKER_COLUMNS, view.brokers)
      }
    }),
  )
}

async function printHead({ out }: Context, view: ClusterView): Promise<void> {
  const { clusterId, controllerId, brokers, topics, partitions, replicas } = toJson(view)
  const live = brokers.filter(({ state }) => state === 'live').length
  const down = live === brokers.length ? '' : ` (${brokers.length - live} down)`
  const facts = [
    `${counted(brokers.length, 'broker')}${down}`,
    counted(topics, 'topic'),
    counted(partitions, 'partition'),
    counted(replicas, 'replica'),
    controllerId === null ? 'no controller' : `controller ${controllerId}`,
  ]
  await out.line(`Cluster ${out.style('bold', clusterId)}  ${out.style('dim', facts.join(', '))}`)
  await out.line()
}

function toJson({ cluster, topics, brokers }: ClusterView) {
  const partitions = topics.flatMap((topic) => topic.partitions)
  return {
    clusterId: cluster.clusterId,
    controllerId: cluster.controllerId,
    topics: topics.length,
    partitions: partitions.length,
    replicas: partitions.reduce((sum, { replicas }) => sum + replicas.length, 0),
    underReplicated: partitions.filter(({ isr, replicas }) => isr.length < replicas.length).length,
    leaderless: partitions.filter(({ leader }) => leader === null).length,
    brokers: brokers.map((row) => toObject(BROKER_COLUMNS, row)),
  }
}

interface QuorumRow extends QuorumReplica {
  readonly role: 'leader' | 'voter' | 'observer'
  readonly isSilent: boolean
  /** Records behind the leader's end. */
  readonly lag: number | null
  /** Ms before the moment of the answer, by the leader's clock. */
  readonly lastFetchMs: number | null
  readonly lastCaughtUpMs: number | null
}

const QUORUM_COLUMNS: readonly Column<QuorumRow>[] = [
  { name: 'nodeId', title: 'NODE', value: ({ nodeId }) => nodeId, unit: 'id' },
  {
    name: 'role',
    title: 'ROLE',
    value: ({ role }) => role,
    style: ({ role }) => (role === 'leader' ? 'bold' : null),
  },
  { name: 'logEndOffset', title: 'END', value: ({ logEndOffset }) => logEndOffset, unit: 'id' },
  {
    name: 'lag',
    title: 'LAG',
    value: ({ lag }) => lag,
    style: ({ isSilent }) => (isSilent ? 'red' : null),
  },
  {
    name: 'lastFetchMs',
    title: 'HEARD OF',
    value: ({ lastFetchMs }) => lastFetchMs,
    unit: 'ms',
    style: ({ isSilent }) => (isSilent ? 'red' : null),
  },
  { name: 'lastCaughtUpMs', title: 'CAUGHT UP', value: ({ lastCaughtUpMs }) => lastCaughtUpMs, unit: 'ms' },
  { name: 'directoryId', title: 'DIRECTORY', value: ({ directoryId }) => directoryId },
]

function quorumCommand(context: Context): Command {
  const command = new Command('quorum')
    .summary('show who agrees on the metadata, and change who does')
    .description(
      'Show the nodes that agree on the metadata of the cluster: who leads, how far behind its log each is (LAG, in ' +
        'records), how long ago the leader heard of it, and was told that it had everything.',
    )
  addOutputOption(command)
  addConnectOptions(command).action((options: OutputOptions) =>
    withClient(context, options, (client) => showQuorum(context, client, options)),
  )
  return command.addCommand(addVoterCommand(context)).addCommand(removeVoterCommand(context))
}

async function showQuorum(context: Context, client: Client, options: OutputOptions): Promise<void> {
  const { out } = context
  const quorum = await client.admin().describeQuorum()
  const rows = quorumRows(quorum)
  const format = outputFormat(options.output, out)
  const { leaderId, leaderEpoch, highWatermark } = quorum
  const asJson = () => ({
    ...{ leaderId, leaderEpoch, highWatermark },
    nodes: rows.map((row) => toObject(QUORUM_COLUMNS, row)),
  })
  if (format === 'json') await out.line(formatJson(asJson()))
  else if (format === 'ndjson') await out.line(jsonLine(asJson()))
  else {
    if (format === 'table') {
      const voters = counted(quorum.voters.length, 'voter')
      const facts = `${voters}, ${Math.floor(quorum.voters.length / 2) + 1} must run; epoch ${leaderEpoch}, committed up to ${highWatermark}`
      await out.line(`Metadata quorum  ${out.style('dim', facts)}`)
      await out.line()
    }
    await printRows(out, format, QUORUM_COLUMNS, rows)
  }
}

function quorumRows(quorum: QuorumDescription): readonly QuorumRow[] {
  const { voters, observers, leaderId } = quorum
  const leader = voters.find(({ nodeId }) => nodeId === leaderId)
  const silent = silentVoterIds(quorum)
  const nowMs = leader?.lastFetchTimestamp ?? null
  const ago = (timestamp: number | null): number | null =>
    timestamp === null || nowMs === null ? null : Math.max(0, nowMs - timestamp)
  const rowOf = (replica: QuorumReplica, role: QuorumRow['role']): QuorumRow => {
    const { logEndOffset } = replica
    const end = leader?.logEndOffset ?? null
    return {
      ...replica,
      role,
      isSilent: silent.includes(replica.nodeId),
      lag: logEndOffset === null || end === null ? null : Math.max(0, end - logEndOffset),
      lastFetchMs: ago(replica.lastFetchTimestamp),
      lastCaughtUpMs: ago(replica.lastCaughtUpTimestamp),
    }
  }
  return [
    ...voters.map((one) => rowOf(one, one.nodeId === leaderId ? 'leader' : 'voter')),
    ...observers.map((one) => rowOf(one, 'observer')),
  ]
}
