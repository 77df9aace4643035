/** `millrace verify`: checks every log of a stopped broker's data directory and says where it is damaged. */
import { stat } from 'node:fs/promises'
import { Command } from 'commander'
import type { VerifiedDirectory, VerifiedLog, VerifyFault } from '../src/index.ts'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted, humanBytes } from './human.ts'
import { addOutputOption, formatJson, outputFormat, printRows, toObject } from './output.ts'
import type { Column, OutputFormat } from './output.ts'
import { printable } from './terminal.ts'

const COLUMNS: readonly Column<VerifiedLog>[] = [
  { name: 'topic', title: 'TOPIC', value: ({ topic }) => topic },
  { name: 'partition', title: 'PARTITION', value: ({ partition }) => partition, unit: 'id' },
  { name: 'startOffset', title: 'START', value: ({ startOffset }) => startOffset, unit: 'id' },
  { name: 'endOffset', title: 'END', value: ({ endOffset }) => endOffset, unit: 'id' },
  { name: 'segmentCount', title: 'SEGMENTS', value: ({ segmentCount }) => segmentCount },
  { name: 'batchCount', title: 'BATCHES', value: ({ batchCount }) => batchCount },
  { name: 'recordCount', title: 'RECORDS', value: ({ recordCount }) => recordCount },
  { name: 'sizeBytes', title: 'SIZE', value: ({ sizeBytes }) => sizeBytes, unit: 'bytes' },
  {
    name: 'state',
    title: 'STATE',
    value: stateOf,
    style: (log) => (stateOf(log) === 'sound' ? 'green' : stateOf(log) === 'damaged' ? 'red' : 'yellow'),
  },
]

export function verifyCommand(context: Context): Command {
  const command = new Command('verify')
    .description(
      'Check the data directory of a stopped broker: every batch of every log (checksum, offsets without gaps, leader ' +
        'epochs), the indexes, checkpoints and snapshots against the logs. Changes nothing. Exit code 1 when something ' +
        'is damaged. Bytes that an unclean stop left at the end of a log are no damage: the next start cuts them.',
    )
    .argument('<directory>', 'the data directory')
  return addOutputOption(command).action((path: string, options: { output?: OutputFormat }) =>
    verify(context, path, outputFormat(options.output, context.out)),
  )
}

async function verify(context: Context, path: string, format: OutputFormat): Promise<void> {
  const { out, err } = context
  await checkDirectory(path)
  const { verifyDataDirectory } = await import('../src/index.ts')
  let directory: VerifiedDirectory | null = null
  const logs: VerifiedLog[] = []
  for await (const item of verifyDataDirectory(path)) {
    if (item.kind === 'directory') directory = item
    else {
      logs.push(item)
      err.overwrite(`${item.topic}-${item.partition}`)
    }
  }
  err.overwrite('')
  const faults = [...(directory?.faults ?? []), ...logs.flatMap((log) => log.faults)]
  const damageCount = faults.filter(({ severity }) => severity === 'damage').length
  if (format === 'json') {
    const { clusterId = null, nodeId = null, wasClosedCleanly = false } = directory ?? {}
    const shown = logs.map((log) => ({ ...toObject(COLUMNS, log), faults: log.faults }))
    const isSound = damageCount === 0
    await out.line(
      formatJson({
        isSound,
        clusterId,
        nodeId,
        wasClosedCleanly,
        faults: directory?.faults ?? [],
        logs: shown,
      }),
    )
  } else {
    await printRows(out, format, COLUMNS, logs, 'There are no logs')
    for (const fault of faults) await err.line(faultLine(context, fault))
    await err.line(summary(directory, logs, damageCount))
  }
  if (damageCount > 0) context.exitCode = EXIT.failed
}

function faultLine({ err }: Context, { severity, path, position, fault }: VerifyFault): string {
  const title = severity === 'damage' ? err.style('red', 'damaged:') : err.style('yellow', 'unfinished:')
  return `${title} ${printable(path)}${position === null ? '' : `:${position}`} ${printable(fault)}`
}

function summary(
  directory: VerifiedDirectory | null,
  logs: readonly VerifiedLog[],
  damageCount: number,
): string {
  const bytes = logs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const checked = `${counted(logs.length, 'log')}, ${humanBytes(bytes)}, stopped ${directory?.wasClosedCleanly === true ? 'cleanly' : 'uncleanly'}`
  return `${checked}: ${damageCount === 0 ? 'no damage' : counted(damageCount, 'damaged place')}`
}

function stateOf({ faults }: VerifiedLog): string {
  if (faults.some(({ severity }) => severity === 'damage')) return 'damaged'
  return faults.length > 0 ? 'unfinished' : 'sound'
}

async function checkDirectory(path: string): Promise<void> {
  const found = await stat(path).catch(() => null)
  if (found?.isDirectory() === true) return
  throw new CommandError(
    EXIT.notFound,
    `Cannot verify ${path}: ${found === null ? 'there is no such directory' : 'it is a file, wanted a data directory'}`,
    'Name the directory that `millrace start` said, such as millrace-data; for a single file there is `millrace dump`',
  )
}
