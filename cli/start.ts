/**
 * `millrace start`: a broker in this process, until Ctrl-C. What it prints on stdout is what one needs next: where it
 * listens, where its data is, what an acknowledgement means. The log goes to stderr.
 */
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import type { Broker, ConfigSources, StartBrokerOptions } from '../src/index.ts'
import { addBrokerOptions, brokerSources } from './broker-settings.ts'
import type { BrokerOptions } from './broker-settings.ts'
import type { Context } from './context.ts'
import { CommandError, describeError, printError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { relaxHeapGrowth } from './heap-growth.ts'
import { onInterrupt } from './interrupts.ts'
import { packageVersion } from './version.ts'

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

interface StartOptions extends BrokerOptions {
  readonly ephemeral?: boolean
  readonly logLevel?: (typeof LOG_LEVELS)[number]
  readonly output?: 'text' | 'json'
}

/** What an acknowledgement of a broker's topics means unless they say otherwise. */
const DURABILITY_MEANINGS: ReadonlyMap<string, string> = new Map([
  ['disk', 'an acknowledged record is on stable storage'],
  ['os', 'an acknowledged record is in the page cache: it survives the process, not a power cut'],
  ['memory', 'records are gone when the broker stops'],
])

export function startCommand(context: Context): Command {
  const command = new Command('start').description(
    'Run a broker until Ctrl-C: Kafka over TCP and over WebSocket on one port. A second Ctrl-C ends it at once; the ' +
      'next start then checks the logs. Settings come from flags, MILLRACE_… variables, a file, and defaults: see ' +
      '`millrace config explain`.',
  )
  addBrokerOptions(command)
    .option('--ephemeral', 'keep everything in memory; nothing is read from or written to disk')
    .addOption(
      new Option(
        '--log-level <level>',
        'the least that is logged (default: warn on a terminal, else info)',
      ).choices(LOG_LEVELS),
    )
    .addOption(
      new Option('-o, --output <format>', 'how to print the addresses; json: one line').choices([
        'text',
        'json',
      ]),
    )
  return command.action((options: StartOptions) => start(context, options))
}

async function start(context: Context, options: StartOptions): Promise<void> {
  const { err } = context
  if (options.ephemeral === true && options.dataDir !== undefined) {
    throw new CommandError(
      EXIT.usage,
      'Cannot start: --ephemeral has no use for --data-dir',
      'Leave one of them out',
    )
  }
  context.onBrokenPipe = () => undefined // Nobody reads the addresses any more; the broker serves on.
  relaxHeapGrowth()
  const sources = await brokerSources(options, context.environment)
  const { startBroker } = await import('../src/index.ts')
  const startOptions: StartBrokerOptions = {
    ...sources,
    ephemeral: options.ephemeral ?? false,
    logLevel: options.logLevel ?? (err.isTty ? 'warn' : 'info'),
  }
  let broker: Broker | null = null
  const asked = { toStop: false }
  const stop = (): void => {
    asked.toStop = true
    if (err.isTty) void err.line() // The terminal shows ^C on the line that the cursor is on.
    broker?.close().catch(() => undefined) // It is told below, where it is awaited too.
  }
  const release = onInterrupt(stop)
  try {
    broker = await startBroker(startOptions)
    const place = await describePlace(broker, sources, options)
    if (options.output === 'json') await context.out.line(JSON.stringify(place))
    else await printPlace(context, place)
    if (asked.toStop) stop()
    const reason = await broker.stopped
    const unsaved = await broker.close().then(
      () => null,
      (error: unknown) => error,
    )
    if (reason === null && unsaved !== null) {
      await printError(err, describeError(unsaved))
      context.exitCode = EXIT.failed
      return
    }
    if (reason === null) {
      await err.line(
        options.ephemeral === true ? 'Stopped; nothing is kept' : `Stopped cleanly: ${place.dataDirectory!}`,
      )
      return
    }
    await printError(err, describeError(reason))
    await err.line('The broker stopped by itself; the next start checks its logs')
    context.exitCode = EXIT.failed
  } finally {
    release()
  }
}

/** What is printed, in JSON under these names. */
export interface Place {
  readonly version: string
  readonly pid: number
  readonly clusterId: string
  readonly nodeId: number
  readonly listeners: readonly {
    readonly name: string
    readonly host: string
    readonly port: number
    /** For Kafka clients over TCP: `host:port`; null for a listener without. */
    readonly bootstrap: string | null
    /** For WebSocket clients; null for a listener without. */
    readonly url: string | null
  }[]
  /** Null when everything is in memory. */
  readonly dataDirectory: string | null
  /** Default of new topics: `disk`, `os` or `memory`. */
  readonly durability: string
}

async function describePlace(broker: Broker, sources: ConfigSources, options: StartOptions): Promise<Place> {
  const { explainBrokerConfig, loadBrokerConfig } = await import('../src/index.ts')
  const config = loadBrokerConfig(sources)
  const durability =
    explainBrokerConfig(sources).find(({ name }) => name === 'log.durability')?.value ?? 'disk'
  return {
    version: packageVersion(),
    pid: process.pid,
    clusterId: broker.clusterId,
    nodeId: broker.nodeId,
    listeners: broker.listeners.map(({ name, host, port }) => {
      const protocol = config.listeners.find((listener) => listener.name === name)?.protocol ?? 'any'
      const address = `${reachable(host)}:${port}`
      return {
        name,
        host,
        port,
        bootstrap: protocol === 'http' ? null : address,
        url: protocol === 'kafka' ? null : `ws://${address}`,
      }
    }),
    dataDirectory: options.ephemeral === true ? null : resolve(config.dataDirectory),
    durability: options.ephemeral === true ? 'memory' : durability,
  }
}

/** An address of this machine that leads to `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::' || host === '127.0.0.1') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

const KAFKA_PORT = 9092

async function printPlace({ out }: Context, place: Place): Promise<void> {
  const row = (title: string, value: string): Promise<void> =>
    out.line(`  ${out.style('dim', title.padEnd(12))}${value}`)
  await out.line(`${out.style('bold', 'Millrace')} ${place.version}`)
  await out.line()
  for (const { bootstrap, url } of place.listeners) {
    if (bootstrap !== null) await row('Kafka', out.style('green', bootstrap))
    if (url !== null) await row('WebSocket', out.style('green', url))
  }
  const { dataDirectory, durability } = place
  await row('Data', dataDirectory ?? 'in memory, gone when it stops')
  if (dataDirectory !== null)
    await row('Durability', `${durability}: ${DURABILITY_MEANINGS.get(durability) ?? ''}`)
  await row('Cluster', `${place.clusterId}, node ${place.nodeId}`)
  await out.line()
  const [first] = place.listeners
  const address = first?.bootstrap ?? first?.url ?? null
  const where = address === null || first?.port === KAFKA_PORT ? '' : ` -b ${address}`
  await row('Try it', `npx millrace topic create events${where}`)
  await row('', `echo hello | npx millrace produce events${where}`)
  await row('', `npx millrace tail events${where}`)
  await row('Stop it', 'Ctrl-C')
  await out.line()
}
