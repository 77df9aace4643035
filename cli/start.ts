/**
 * `millrace start`: a broker in this process, until Ctrl-C. What it prints on stdout is what one needs next: where it
 * listens, where its data is, what an acknowledgement means. The log goes to stderr.
 */
import { Command, Option } from 'commander'
import type { Broker, StartBrokerOptions } from '../src/index.ts'
import { parseWhole } from './arguments.ts'
import { addBrokerOptions, brokerSources } from './broker-settings.ts'
import type { BrokerOptions } from './broker-settings.ts'
import type { Context } from './context.ts'
import { codeOf, CommandError, describeError, printError } from './errors.ts'
import { EXIT } from './exit-codes.ts'
import { relaxHeapGrowth } from './heap-growth.ts'
import { onInterrupt } from './interrupts.ts'
import { describePlace, printClusterPlace, printPlace } from './place.ts'
import { BROKERS_MAX, PARENT_VARIABLE, PORT_TAKEN, runCluster, STOP_ALL } from './start-cluster.ts'

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

interface StartOptions extends BrokerOptions {
  readonly brokers?: number
  readonly ephemeral?: boolean
  readonly logLevel?: (typeof LOG_LEVELS)[number]
  readonly output?: 'text' | 'json'
}

export function startCommand(context: Context): Command {
  const command = new Command('start').description(
    'Run a broker until Ctrl-C: Kafka over TCP and over WebSocket on one port. A second Ctrl-C ends it at once; the ' +
      'next start then checks the logs. Settings come from flags, MILLRACE_… variables, a file, and defaults: see ' +
      '`millrace config explain`.',
  )
  addBrokerOptions(command)
    .addOption(
      new Option(
        '--brokers <number>',
        'run a cluster on this machine: so many brokers, a process each, on the ports from --port on',
      ).argParser((text) => parseWhole(text, 1, BROKERS_MAX)),
    )
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
  if (options.brokers !== undefined) {
    await startCluster(context, options, options.brokers)
    return
  }
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
  const starting = new AbortController()
  const stop = (handsOver: boolean): void => {
    asked.toStop = true
    if (err.isTty) void err.line() // The terminal shows ^C on the line that the cursor is on.
    starting.abort()
    broker?.close({ handsOver }).catch(() => undefined) // It is told below, where it is awaited too.
  }
  const release = onInterrupt(() => stop(true))
  if (context.environment[PARENT_VARIABLE] !== undefined) {
    // Whoever started this broker as part of a cluster stops all of them, or is gone.
    process.on('disconnect', () => stop(false))
    process.on('message', (message) => {
      if (message === STOP_ALL) stop(false)
    })
    process.channel?.unref()
  }
  try {
    broker = await startBroker({ ...startOptions, signal: starting.signal })
    const place = await describePlace(broker, sources, options.ephemeral === true)
    if (options.output === 'json') await context.out.line(JSON.stringify(place))
    else await printPlace(context, place)
    if (asked.toStop) stop(true)
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
  } catch (error) {
    if (codeOf(error) === 'NETWORK_ADDRESS_IN_USE') process.send?.(PORT_TAKEN)
    if (broker !== null || !asked.toStop) throw error
    await err.line('Stopped before it served')
    context.exitCode = EXIT.interrupted
  } finally {
    release()
  }
}

/** Kafka's. */
const DEFAULT_PORT = 9092

async function startCluster(context: Context, options: StartOptions, brokers: number): Promise<void> {
  if (options.ephemeral === true) {
    throw new CommandError(
      EXIT.usage,
      'Cannot start: --brokers keeps its data on disk, and --ephemeral wants none',
      'Leave one of them out; give a topic the setting durability=memory for data that need not last',
    )
  }
  const { loadBrokerConfig } = await import('../src/index.ts')
  const config = loadBrokerConfig(await brokerSources(options, context.environment))
  const [listener] = config.listeners
  const passedOn = [
    ...(options.config === undefined ? [] : ['--config', options.config]),
    ...[...(options.set ?? [])].flatMap(([key, value]) => ['--set', `${key}=${value}`]),
    ...['--log-level', options.logLevel ?? 'warn'],
  ]
  await runCluster(
    context,
    {
      brokers,
      port: options.port ?? listener?.port ?? DEFAULT_PORT,
      host: options.host ?? listener?.host ?? '127.0.0.1',
      dataDirectory: config.dataDirectory,
      passedOn,
    },
    async (place) => {
      if (options.output === 'json') await context.out.line(JSON.stringify(place))
      else await printClusterPlace(context, place, config.dataDirectory)
    },
  )
  await context.err.line(`Stopped: ${brokers} brokers`)
}
