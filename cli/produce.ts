/**
 * `millrace produce`: one record per line of stdin.
 *
 * Invariants: lines enter the topic's partitions in the order they were read; what was read and has no outcome stays
 * within `OUTSTANDING_BYTES_MAX` and `OUTSTANDING_LINES_MAX`, whatever the sizes of the input and of its lines; after the
 * first failure nothing more is read. Data plane, one promise per line: that is what it takes to name the line that failed.
 */
import { Command, Option } from 'commander'
import type { Client, Producer } from '../src/index.ts'
import { parseHeader, parsePartition, parseSeparator } from './arguments.ts'
import { addConnectOptions, withClient, withTopic } from './connect.ts'
import type { ConnectOptions } from './connect.ts'
import type { Context } from './context.ts'
import { CommandError, describeError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { counted, humanBytes, humanCount, humanDuration } from './human.ts'
import { onInterrupt } from './interrupts.ts'
import { findBytes, LINE_BYTES_MAX, LineSplitter } from './lines.ts'

/** Bytes of lines without an outcome: what the producer buffers by default, so that it always has enough to send. */
const OUTSTANDING_BYTES_MAX = 32 * 1024 * 1024
/** Each line costs some promises, also an empty one; at a millisecond per acknowledgement this is 20 million a second. */
const OUTSTANDING_LINES_MAX = 20_000
/** How often the progress line changes, in ms: smooth for the eye, nothing for the processor. */
const PROGRESS_MS = 100

interface ProduceOptions extends ConnectOptions {
  readonly keySeparator?: string
  readonly header?: readonly (readonly [string, string])[]
  readonly partition?: number
  readonly compression: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'
  readonly acks: 'all' | '1' | '0'
  readonly quiet?: boolean
}

export function produceCommand(context: Context): Command {
  const command = new Command('produce')
    .description(
      'Write each line of stdin to a topic as a record. Lines are bytes: nothing is decoded, empty lines are records. ' +
        'Stops at the first record that fails. Ctrl-C writes what was read and stops.',
    )
    .argument('<topic>', 'an existing topic')
    .addOption(
      new Option('-k, --key-separator <text>', 'what stands before it is the key; \\t is a tab').argParser(
        parseSeparator,
      ),
    )
    .addOption(
      new Option('-H, --header <key=value>', 'for every record, may be repeated').argParser(parseHeader),
    )
    .addOption(
      new Option('-p, --partition <number>', 'instead of the one that the key chooses').argParser(
        parsePartition,
      ),
    )
    .addOption(
      new Option('-z, --compression <codec>', 'of the batches')
        .choices(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
        .default('none'),
    )
    .addOption(
      new Option(
        '--acks <who>',
        'who has a record before it counts: all in-sync replicas, the leader, nobody',
      )
        .choices(['all', '1', '0'])
        .default('all'),
    )
    .option('-q, --quiet', 'no summary')
  return addConnectOptions(command).action((topic: string, options: ProduceOptions) =>
    withClient(context, options, async (client) => {
      await withTopic(client, topic, () => checkPartition(client, topic, options.partition))
      await new Production(context, topic, options).run(client)
    }),
  )
}

/** Tells what cannot work before anything is read. */
async function checkPartition(client: Client, topic: string, partition: number | undefined): Promise<void> {
  const [described] = await client.admin().describeTopics([topic])
  const count = described!.partitions.length
  if (partition === undefined || partition < count) return
  throw new CommandError(
    EXIT.notFound,
    `Cannot write to partition ${partition} of ${topic}: it has ${counted(count, 'partition')}, counted from 0`,
  )
}

class Production {
  readonly #context: Context
  readonly #topic: string
  readonly #options: ProduceOptions
  readonly #separator: Uint8Array | null
  #readLines = 0
  #writtenRecords = 0
  #writtenBytes = 0
  #failedRecords = 0
  #outstandingLines = 0
  #outstandingBytes = 0
  /** The failure of the lowest line so far. */
  #failure: { readonly line: number; readonly error: unknown } | null = null
  #isInterrupted = false
  /** Wakes `#room`. */
  #wake: (() => void) | null = null

  constructor(context: Context, topic: string, options: ProduceOptions) {
    this.#context = context
    this.#topic = topic
    this.#options = options
    const { keySeparator } = options
    this.#separator = keySeparator === undefined ? null : new TextEncoder().encode(keySeparator)
  }

  async run(client: Client): Promise<void> {
    const { err, input } = this.#context
    const { acks, compression } = this.#options
    const startMs = performance.now()
    const producer = client.producer({
      acks: acks === 'all' ? 'all' : acks === '1' ? 1 : 0,
      compression,
      mayCreateTopics: false,
    })
    const release = onInterrupt(() => this.#interrupt())
    const isTyped = input.isTTY === true
    if (isTyped && err.isTty) await err.line(err.style('dim', 'One record per line; Ctrl-D ends'))
    const stopProgress = isTyped ? null : this.#showProgress(startMs)
    try {
      await this.#readAll(producer)
      await producer.flush()
      await this.#settled(0, 0)
    } finally {
      stopProgress?.()
      release()
      await producer.close()
    }
    await this.#report(performance.now() - startMs)
  }

  async #readAll(producer: Producer): Promise<void> {
    const splitter = new LineSplitter()
    const { input } = this.#context
    try {
      for await (const chunk of input) {
        const lines = splitter.push(chunk as Buffer)
        if (lines === 'too-long') {
          this.#fail(this.#readLines + 1, new Error(`it has more than ${humanCount(LINE_BYTES_MAX)} bytes`))
        } else {
          for (const line of lines) {
            if (this.#mayRead()) this.#send(producer, line)
            if (this.#isCrowded()) await this.#settled(OUTSTANDING_LINES_MAX / 2, OUTSTANDING_BYTES_MAX / 2)
          }
        }
        if (!this.#mayRead()) return
      }
    } catch (error) {
      // An interrupt closes stdin under the loop, which is how it ends.
      if (!this.#isInterrupted) throw error
      return
    }
    const last = splitter.end()
    if (last !== null && this.#mayRead()) this.#send(producer, last)
  }

  #mayRead(): boolean {
    return this.#failure === null && !this.#isInterrupted
  }

  #isCrowded(): boolean {
    return this.#outstandingLines >= OUTSTANDING_LINES_MAX || this.#outstandingBytes >= OUTSTANDING_BYTES_MAX
  }

  #send(producer: Producer, line: Uint8Array): void {
    const number = ++this.#readLines
    let key: Uint8Array | null = null
    let value = line
    if (this.#separator !== null) {
      const at = findBytes(line, this.#separator)
      if (at < 0) {
        this.#fail(number, new Error(`it has no key separator ${JSON.stringify(this.#options.keySeparator)}`))
        return
      }
      key = line.subarray(0, at)
      value = line.subarray(at + this.#separator.length)
    }
    const { partition, header: headers } = this.#options
    this.#outstandingLines++
    this.#outstandingBytes += line.length
    producer.send({ topic: this.#topic, partition, key, value, headers }).then(
      () => {
        this.#writtenRecords++
        this.#writtenBytes += line.length
        this.#settle(line.length)
      },
      (error: unknown) => {
        this.#fail(number, error)
        this.#settle(line.length)
      },
    )
  }

  #fail(line: number, error: unknown): void {
    this.#failedRecords++
    if (this.#failure === null || line < this.#failure.line) this.#failure = { line, error }
  }

  #settle(bytes: number): void {
    this.#outstandingLines--
    this.#outstandingBytes -= bytes
    this.#wake?.()
  }

  /** Resolves once no more than this is outstanding. */
  #settled(lines: number, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        if (this.#outstandingLines > lines || this.#outstandingBytes > bytes) return
        this.#wake = null
        resolve()
      }
      this.#wake()
    })
  }

  #interrupt(): void {
    this.#isInterrupted = true
    if ('destroy' in this.#context.input) (this.#context.input as NodeJS.ReadStream).destroy()
  }

  /** A line that shows how far it is, on a terminal. @returns What takes it away. */
  #showProgress(startMs: number): (() => void) | null {
    const { err } = this.#context
    if (!err.isTty || this.#options.quiet === true) return null
    const timer = setInterval(() => {
      const seconds = (performance.now() - startMs) / 1000
      const rate = humanCount(Math.round(this.#writtenRecords / seconds))
      err.overwrite(
        `${counted(this.#writtenRecords, 'record')}  ${humanBytes(this.#writtenBytes)}  ${rate}/s`,
      )
    }, PROGRESS_MS)
    return () => {
      clearInterval(timer)
      err.overwrite('')
    }
  }

  async #report(elapsedMs: number): Promise<void> {
    const { err } = this.#context
    const written = `${counted(this.#writtenRecords, 'record')} to ${this.#topic}`
    if (this.#failure !== null) {
      const { line, error } = this.#failure
      const { message, advice, exitCode } = isOurs(error)
        ? { message: error.message, advice: null, exitCode: EXIT.failed }
        : describeError(error)
      throw new CommandError(
        exitCode === EXIT.usage ? EXIT.failed : exitCode,
        `Cannot write line ${humanCount(line)}: ${message}; before and beside it ${written} were written, ${humanCount(this.#failedRecords)} failed`,
        advice,
        { cause: error },
      )
    }
    if (this.#isInterrupted) {
      this.#context.exitCode = EXIT.interrupted
      await err.line(
        `Stopped by Ctrl-C after line ${humanCount(this.#readLines)}: ${written}, all that was read`,
      )
      return
    }
    if (this.#options.quiet !== true) await err.line(`${written} in ${humanDuration(elapsedMs)}`)
  }
}

/** Whether the failure is one that this file found in the line itself. */
function isOurs(error: unknown): error is Error {
  return error instanceof Error && error.constructor === Error
}
