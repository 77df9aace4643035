/**
 * `millrace tail`: the last records of a topic, then what comes, until Ctrl-C.
 *
 * The backlog is read by a consumer of its own that ends at the end of the log; the one that follows begins exactly where
 * that one ended, so nothing is shown twice or left out. A connection that breaks is made again by the client, which says so.
 */
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Client, Consumer, ConsumerBatch } from '../src/index.ts'
import { parseFrom, parsePartitions, parseTime, parseWhole } from './arguments.ts'
import type { StartPosition } from './arguments.ts'
import { Backlog } from './backlog.ts'
import { addConnectOptions, withClient, withTopic } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError, codeOf } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted } from './human.ts'
import { onInterrupt } from './interrupts.ts'
import type { Notices } from './notices.ts'
import { PRESETS } from './record-format.ts'
import { recordPrinter } from './record-printer.ts'
import type { RecordPrinter } from './record-printer.ts'
import { tailAsMember } from './tail-group.ts'

/** Records shown before following unless told. */
const LAST_COUNT = 10
/** Most records of `--last`: they are held in memory to be put in order. For more there is `--from`. */
const LAST_COUNT_MAX = 10_000

interface TailOptions extends ConnectOptions {
  readonly last?: number
  readonly from?: StartPosition
  readonly since?: number
  readonly partitions?: readonly number[]
  readonly group?: string
  readonly exitAtEnd?: boolean
  readonly format?: string
  readonly output?: 'json' | 'ndjson'
}

export function tailCommand(context: Context): Command {
  const command = new Command('tail')
    .description(
      'Show the last records of a topic, over all partitions in the order of their times, then follow it until Ctrl-C. ' +
        'In a pipe it writes the values, byte for byte. With --group it reads as a member of a group, from where that stopped.',
    )
    .argument('<topic>', 'the topic')
    .addOption(
      new Option('-n, --last <count>', `records to show before following (default: ${LAST_COUNT})`)
        .argParser((text) => parseWhole(text, 0, LAST_COUNT_MAX))
        .conflicts(['from', 'since']),
    )
    .addOption(
      new Option('--from <place>', 'beginning, end, an offset, or @TIME such as @2026-01-31T12:00 or @15m')
        .argParser((text) => parseFrom(text, Date.now()))
        .conflicts('since'),
    )
    .addOption(
      new Option('--since <time>', 'records from that time on, such as 15m').argParser((text) =>
        parseTime(text, Date.now()),
      ),
    )
    .addOption(
      new Option('-p, --partitions <list>', 'only these, such as 0 or 0,2-4').argParser(parsePartitions),
    )
    .addOption(
      new Option(
        '-g, --group <name>',
        'share the topic with the other members of a group, and commit what was printed; --from says where it begins if it ' +
          'has committed nothing (default: end)',
      ).conflicts(['last', 'partitions', 'exitAtEnd']),
    )
    .option('-e, --exit-at-end', 'stop at the end instead of following')
    .addOption(
      new Option(
        '-f, --format <format>',
        `%t topic, %p partition, %o offset, %T time, %k key, %v value, %h headers, \\n, \\t; or ${[...PRESETS.keys()].join(', ')}`,
      ).conflicts('output'),
    )
    .addOption(new Option('-o, --output <format>', 'records as JSON').choices(['json', 'ndjson']))
  return addConnectOptions(command).action((topic: string, options: TailOptions) =>
    tail(context, topic, options),
  )
}

async function tail(context: Context, topic: string, options: TailOptions): Promise<void> {
  const printer = createPrinter(context, options)
  const interruption = new AbortController()
  const release = onInterrupt(() => {
    interruption.abort()
    if (context.err.isTty) void context.err.line() // The terminal shows ^C on the line that the cursor is on.
  })
  try {
    await withClient(context, options, (client, notices) =>
      withTopic(client, topic, async () => {
        const { signal } = interruption
        const { group, from = null, since } = options
        if (group === undefined) {
          await new Tailing(context, client, { topic, options, printer, notices, signal }).run()
        } else {
          const start = since === undefined ? from : ({ kind: 'time', timestampMs: since } as const)
          await tailAsMember(context, client, { topic, group, from: start, printer, notices, signal })
        }
      }),
    )
  } catch (error) {
    // Following ends by Ctrl-C and in no other way: it is not a failure.
    if (!interruption.signal.aborted || codeOf(error) !== 'CLIENT_ABORTED') throw error
  } finally {
    release()
  }
  await printer.end()
}

function createPrinter(context: Context, options: TailOptions): RecordPrinter {
  try {
    return recordPrinter(context, options)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw new CommandError(EXIT.usage, `Cannot use --format: ${error.message.replace(/\.$/, '')}`)
  }
}

/** Where each partition begins. */
type Starts = ReadonlyMap<number, number | 'beginning' | 'end' | { readonly timestamp: number }>

interface TailingOptions {
  readonly topic: string
  readonly options: TailOptions
  readonly printer: RecordPrinter
  readonly notices: Notices
  readonly signal: AbortSignal
}

class Tailing {
  readonly #context: Context
  readonly #client: Client
  readonly #topic: string
  readonly #options: TailOptions
  readonly #printer: RecordPrinter
  readonly #notices: Notices
  readonly #signal: AbortSignal

  constructor(
    context: Context,
    client: Client,
    { topic, options, printer, notices, signal }: TailingOptions,
  ) {
    this.#context = context
    this.#client = client
    this.#topic = topic
    this.#options = options
    this.#printer = printer
    this.#notices = notices
    this.#signal = signal
  }

  async run(): Promise<void> {
    const partitions = await this.#findPartitions()
    const { from, since, last = LAST_COUNT, exitAtEnd = false } = this.#options
    const start: StartPosition =
      since === undefined ? (from ?? { kind: 'last', count: last }) : { kind: 'time', timestampMs: since }
    if (start.kind === 'last') {
      const ends = await this.#showLast(partitions, start.count)
      if (!exitAtEnd && !this.#signal.aborted) await this.#follow(ends, false)
      return
    }
    await this.#follow(await this.#findStarts(partitions, start), exitAtEnd)
  }

  async #findPartitions(): Promise<readonly number[]> {
    const [described] = await this.#client.admin().describeTopics([this.#topic])
    const all = described!.partitions.map(({ partition }) => partition)
    const { partitions } = this.#options
    const missing = partitions?.find((partition) => !all.includes(partition))
    if (missing === undefined) return partitions ?? all
    throw new CommandError(
      EXIT.notFound,
      `Cannot read partition ${missing} of ${this.#topic}: it has ${counted(all.length, 'partition')}, counted from 0`,
    )
  }

  async #findStarts(
    partitions: readonly number[],
    start: Exclude<StartPosition, { kind: 'last' }>,
  ): Promise<Starts> {
    switch (start.kind) {
      case 'beginning':
      case 'end':
        return new Map(partitions.map((partition) => [partition, start.kind]))
      case 'time':
        return new Map(partitions.map((partition) => [partition, { timestamp: start.timestampMs }]))
      case 'offset': {
        const ranges = await this.#findRanges(partitions)
        const starts = new Map<number, number>()
        for (const [partition, { startOffset, endOffset }] of ranges) {
          const offset = Math.min(Math.max(start.offset, startOffset), endOffset)
          starts.set(partition, offset)
          if (offset === start.offset) continue
          const { err } = this.#context
          const range = `partition ${partition} has offsets ${startOffset} to ${endOffset}, reading from ${offset}`
          await err.line(`${err.style('yellow', 'note:')} ${range}`)
        }
        return starts
      }
    }
  }

  /** Shows the last records. @returns Where each partition ended. */
  async #showLast(partitions: readonly number[], count: number): Promise<Starts> {
    const ranges = await this.#findRanges(partitions)
    const ends = new Map<number, number>()
    const starts = new Map<number, number>()
    for (const [partition, { startOffset, endOffset }] of ranges) {
      ends.set(partition, endOffset)
      const first = Math.max(startOffset, endOffset - count)
      if (first < endOffset) starts.set(partition, first)
    }
    if (starts.size === 0) return ends
    const backlog = new Backlog(count)
    const consumer = await this.#assign(starts, true)
    for await (const batch of this.#batches(consumer)) {
      for (const record of batch.records) backlog.add(record)
      ends.set(batch.partition, Math.max(batch.nextOffset, ends.get(batch.partition)!))
    }
    await this.#printer.print(backlog.take())
    return ends
  }

  async #follow(starts: Starts, untilEnd: boolean): Promise<void> {
    const consumer = await this.#openConsumer(starts, untilEnd)
    for await (const { records } of this.#batches(consumer)) {
      this.#notices.recovered()
      await this.#printer.print(records)
    }
  }

  /** Batches until the end, or until Ctrl-C. */
  async *#batches(consumer: Consumer): AsyncGenerator<ConsumerBatch> {
    const close = (): void => void consumer.close()
    this.#signal.addEventListener('abort', close)
    try {
      if (!this.#signal.aborted) yield* consumer.batches()
    } finally {
      this.#signal.removeEventListener('abort', close)
      await consumer.close()
    }
  }

  /** All partitions are followed by topic, so that those added later come along. */
  async #openConsumer(starts: Starts, untilEnd: boolean): Promise<Consumer> {
    const topic = this.#topic
    if (this.#options.partitions !== undefined || untilEnd) {
      return this.#assign(starts, untilEnd)
    }
    const consumer = this.#client.consumer({ topics: [topic], from: 'end' })
    await consumer.ready({ signal: this.#signal })
    for (const { partition } of consumer.assignment) {
      // One that is new since the topic was described has nothing that was shown.
      const start = starts.get(partition) ?? 'beginning'
      if (start !== 'end') consumer.seek({ topic, partition }, start)
    }
    return consumer
  }

  async #assign(starts: Starts, untilEnd: boolean): Promise<Consumer> {
    const consumer = this.#client.consumer({ untilEnd })
    // An assignment must not come into the consumer's own start, which knows of no partitions yet.
    await consumer.ready({ signal: this.#signal })
    consumer.assign([...starts].map(([partition, from]) => ({ topic: this.#topic, partition, from })))
    return consumer
  }

  async #findRanges(
    partitions: readonly number[],
  ): Promise<ReadonlyMap<number, { readonly startOffset: number; readonly endOffset: number }>> {
    const admin = this.#client.admin()
    const topic = this.#topic
    const asked = partitions.map((partition) => ({ topic, partition }))
    const [starts, ends] = await Promise.all([
      admin.listOffsets(asked.map((one) => ({ ...one, at: 'earliest' as const }))),
      admin.listOffsets(asked.map((one) => ({ ...one, at: 'latest' as const }))),
    ])
    return new Map(
      partitions.map((partition, index) => [
        partition,
        { startOffset: starts[index]!.offset ?? 0, endOffset: ends[index]!.offset ?? 0 },
      ]),
    )
  }
}
