/**
 * `millrace tail --group`: reads a topic as a member of a group, until Ctrl-C. What was printed is committed, within a second
 * and when it ends; so nothing is left out, and what a crash cut short is printed again.
 */
import type { Client } from '../src/index.ts'
import type { StartPosition } from './arguments.ts'
import type { Context } from './context.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import type { Notices } from './notices.ts'
import type { RecordPrinter } from './record-printer.ts'

export interface GroupTail {
  readonly topic: string
  readonly group: string
  /** Where the group begins in a partition that it has committed nothing of. Default: the end. */
  readonly from: StartPosition | null
  readonly printer: RecordPrinter
  readonly notices: Notices
  readonly signal: AbortSignal
}

/** @throws {ClientError} Also `CLIENT_ABORTED`, when the signal fires. */
export async function tailAsMember(
  context: Context,
  client: Client,
  { topic, group, from, printer, notices, signal }: GroupTail,
): Promise<void> {
  if (group === '') throw new CommandError(EXIT.usage, 'Cannot join a group: its name is empty')
  await client.admin().describeTopics([topic]) // A missing topic is told; a member would wait for it.
  const consumer = client.consumer({ group, topics: [topic], from: startOf(from) })
  const end = context.onBrokenPipe
  // Whoever reads is gone: the others of the group shall not wait until they miss this member.
  context.onBrokenPipe = () => void consumer.close().finally(end)
  try {
    // Asking for the next batch is what makes one handled: the signal is looked at only then.
    for await (const { records } of consumer.batches({ signal })) {
      notices.recovered()
      await printer.print(records)
    }
  } finally {
    await consumer.close()
    context.onBrokenPipe = end
  }
}

function startOf(from: StartPosition | null): 'beginning' | 'end' | number | { readonly timestamp: number } {
  switch (from?.kind) {
    case 'beginning':
      return 'beginning'
    case 'offset':
      return from.offset
    case 'time':
      return { timestamp: from.timestampMs }
    default:
      return 'end'
  }
}
