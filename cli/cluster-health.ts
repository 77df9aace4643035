/** `millrace cluster health`: is the cluster well, and what to do if not; for people and, by its exit code, for scripts. */
import { Command } from 'commander'
import type { Client } from '../src/index.ts'
import type { OutputOptions } from './broker.ts'
import { addConnectOptions, withClient } from './connect.ts'
import type { Context } from './context.ts'
import { codeOf } from './errors.ts'
import type { ExitCode } from './exit-codes.ts'
import { judge } from './health.ts'
import type { Finding, Health, HealthFacts, HealthStatus } from './health.ts'
import { counted } from './human.ts'
import { addOutputOption, formatJson, jsonLine, outputFormat, printRows } from './output.ts'
import type { Column } from './output.ts'
import type { Style } from './terminal.ts'

/** What the process answers; 3 is, as for all commands, that no broker was reached. */
const EXIT_CODES: Readonly<Record<HealthStatus, ExitCode>> = { healthy: 0, degraded: 1, unavailable: 2 }

const STYLES: Readonly<Record<HealthStatus, Style>> = {
  healthy: 'green',
  degraded: 'yellow',
  unavailable: 'red',
}

/** Time for the controller to answer, in ms: an election takes less, and whoever asks for health does not want to wait. */
const CONTROLLER_TIMEOUT_MS = 4000

/** No leader of the quorum answered. Whether any broker does, the questions after it find out. */
const NO_CONTROLLER: ReadonlySet<string> = new Set([
  'NOT_CONTROLLER',
  'CLIENT_TIMED_OUT',
  'CLIENT_DISCONNECTED',
  'CLIENT_CANNOT_CONNECT',
  'NOT_LEADER_OR_FOLLOWER',
])

export function healthCommand(context: Context): Command {
  const command = new Command('health')
    .summary('tell whether the cluster is well, and what to do if not')
    .description(
      'Tell whether the cluster is well, and what to do if not. Exit code 0: healthy; 1: degraded, it works with fewer ' +
        'copies or votes than there should be; 2: partitions cannot be written with acks=all or not at all, or nothing ' +
        'can be decided; 3: no broker could be reached.',
    )
  addOutputOption(command)
  return addConnectOptions(command).action((options: OutputOptions) =>
    withClient(
      context,
      options,
      async (client) => {
        const health = judge(await facts(client))
        context.exitCode = EXIT_CODES[health.status]
        await show(context, health, options)
      },
      'nothing',
    ),
  )
}

async function facts(client: Client): Promise<HealthFacts> {
  const admin = client.admin()
  const options = { timeoutMs: CONTROLLER_TIMEOUT_MS }
  const quorum = await admin.describeQuorum(options).catch((error: unknown) => {
    if (NO_CONTROLLER.has(codeOf(error))) return null
    throw error
  })
  const reassignments = quorum === null ? [] : await admin.listPartitionReassignments(null, options)
  const topics = await admin.describeTopics(null)
  const cluster = await admin.describeCluster()
  const described = await admin.describeConfigs(
    topics.map(({ name }) => ({ type: 'topic', name })),
    { keys: ['min.insync.replicas'] },
  )
  const minInsyncReplicas = new Map(
    described.map(({ name, configs }) => [name, Number(configs[0]?.value ?? 1)]),
  )
  return { cluster, topics, minInsyncReplicas, quorum, reassignments }
}

const COLUMNS: readonly Column<Finding>[] = [
  { name: 'status', title: 'STATUS', value: ({ status }) => status },
  { name: 'name', title: 'FINDING', value: ({ name }) => name },
  { name: 'message', title: 'MESSAGE', value: ({ message }) => message },
  { name: 'advice', title: 'ADVICE', value: ({ advice }) => advice },
]

async function show(context: Context, health: Health, options: OutputOptions): Promise<void> {
  const { out } = context
  const format = outputFormat(options.output, out)
  switch (format) {
    case 'json':
      await out.line(formatJson(health))
      return
    case 'ndjson':
      await out.line(jsonLine(health))
      return
    case 'plain':
      await out.line(`${health.status}\t${summary(health)}`)
      await printRows(out, format, COLUMNS, health.findings)
      return
    case 'table':
      await out.line(`${out.style(STYLES[health.status], health.status)}  ${summary(health)}`)
      for (const { status, message, advice } of health.findings) {
        await out.line()
        await out.line(`${out.style(STYLES[status], status === 'degraded' ? '!' : '✗')} ${message}`)
        await out.line(`  ${out.style('dim', advice)}`)
      }
  }
}

function summary({ brokerCount, liveBrokerCount, partitionCount, movingCount }: Health): string {
  const live =
    liveBrokerCount === brokerCount
      ? counted(brokerCount, 'broker')
      : `${liveBrokerCount} of ${brokerCount} brokers`
  const moving = movingCount === 0 ? '' : `, ${movingCount} on the move`
  return `${live}, ${counted(partitionCount, 'partition')}${moving}`
}
