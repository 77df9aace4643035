/** `millrace broker …`: the command tree of the family; list and describe. */
import { Argument, Command } from 'commander'
import type { Client, LogDirDescription } from '../src/index.ts'
import { parseBrokerId } from './arguments.ts'
import { decommissionCommand } from './broker-decommission.ts'
import { BROKER_COLUMNS, getBroker, viewCluster } from './cluster-view.ts'
import type { BrokerRow } from './cluster-view.ts'
import { addConnectOptions, withClient } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { addOutputOption, outputFormat, printFields, printRows } from './output.ts'
import type { Column, OutputFormat } from './output.ts'

export interface OutputOptions extends ConnectOptions {
  readonly output?: OutputFormat
}

export function brokerCommand(context: Context): Command {
  return new Command('broker')
    .description('List and describe the brokers of the cluster, take one out of it')
    .addCommand(listCommand(context))
    .addCommand(describeCommand(context))
    .addCommand(decommissionCommand(context))
}

function listCommand(context: Context): Command {
  const command = new Command('list')
    .summary('list brokers')
    .description('List the brokers of the cluster by id, those that are down too, with what they hold.')
  addOutputOption(command)
  return addConnectOptions(command).action((options: OutputOptions) =>
    withClient(context, options, async (client) => {
      const { brokers } = await viewCluster(client)
      await printRows(context.out, outputFormat(options.output, context.out), BROKER_COLUMNS, brokers)
    }),
  )
}

interface DescribedBroker extends BrokerRow {
  /** Null where the broker does not tell. */
  readonly directory: string | null
  readonly sizeBytes: number | null
  readonly usableBytes: number | null
}

const DESCRIBED_COLUMNS: readonly Column<DescribedBroker>[] = [
  ...(BROKER_COLUMNS as readonly Column<DescribedBroker>[]),
  { name: 'directory', title: 'DATA', value: ({ directory }) => directory },
  { name: 'sizeBytes', title: 'SIZE', value: ({ sizeBytes }) => sizeBytes, unit: 'bytes' },
  { name: 'usableBytes', title: 'FREE', value: ({ usableBytes }) => usableBytes, unit: 'bytes' },
]

function describeCommand(context: Context): Command {
  const command = new Command('describe')
    .summary('show what brokers hold')
    .description('Show brokers with what they lead and hold, their data directories and the room left there.')
    .addArgument(new Argument('<ids...>', 'the brokers').argParser(parseBrokerIdList))
  addOutputOption(command)
  return addConnectOptions(command).action((ids: readonly number[], options: OutputOptions) =>
    withClient(context, options, async (client) => {
      const { brokers } = await viewCluster(client)
      const rows: DescribedBroker[] = []
      for (const id of new Set(ids)) rows.push(await describe(client, getBroker(brokers, id)))
      const format = outputFormat(options.output, context.out)
      if (format !== 'table') {
        await printRows(context.out, format, DESCRIBED_COLUMNS, rows)
        return
      }
      for (const [index, row] of rows.entries()) {
        if (index > 0) await context.out.line()
        await printFields(context.out, format, DESCRIBED_COLUMNS, row)
      }
    }),
  )
}

function parseBrokerIdList(text: string, previous: readonly number[] = []): readonly number[] {
  return [...previous, parseBrokerId(text)]
}

async function describe(client: Client, broker: BrokerRow): Promise<DescribedBroker> {
  // One that is down tells nothing; what the others know of it is shown all the same.
  const dirs = broker.isFenced
    ? []
    : await client
        .admin()
        .describeLogDirs([broker.id])
        .catch((): LogDirDescription[] => [])
  const [first] = dirs
  const partitions = dirs.flatMap((dir) => dir.partitions)
  return {
    ...broker,
    directory: first?.path ?? null,
    sizeBytes: first === undefined ? null : partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    usableBytes: first?.usableBytes ?? null,
  }
}
