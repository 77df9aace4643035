/**
 * A broker's settings from the command line, for `start` and `config explain`: both read the same sources in the same
 * way, so that what is explained is what would run.
 */
import { readFile } from 'node:fs/promises'
import { Option } from 'commander'
import type { Command } from 'commander'
import type { BrokerConfig, ConfigSources } from '../src/index.ts'
import { parsePort, parseSetting } from './arguments.ts'
import { CommandError } from './errors.ts'
import { EXIT } from './exit-codes.ts'

export interface BrokerOptions {
  readonly port?: number
  readonly host?: string
  readonly dataDir?: string
  readonly config?: string
  readonly set?: ReadonlyMap<string, string>
}

type Flags = Map<string, { readonly value: string; readonly flag: string }>

/** Largest settings file in bytes: a thousand times any real one. */
const CONFIG_FILE_BYTES_MAX = 1_048_576

/** Adds the options of `BrokerOptions`. */
export function addBrokerOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-p, --port <number>', 'port to listen on; 0 takes any free one').argParser(parsePort),
    )
    .option('--host <name>', 'address to listen on; 0.0.0.0 lets others in, and nobody is asked who they are')
    .option('-d, --data-dir <path>', 'directory of all data; created when missing')
    .addOption(new Option('-c, --config <file>', 'settings file of key=value lines').env('MILLRACE_CONFIG'))
    .addOption(
      new Option(
        '-s, --set <key=value>',
        'any setting, may be repeated; sizes as 10GiB and times as 7d are understood',
      ).argParser(parseSetting),
    )
}

/**
 * Reads the sources.
 *
 * @throws {CommandError} For a settings file that cannot be read. @throws {ConfigError} From the settings themselves.
 */
export async function brokerSources(
  options: BrokerOptions,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ConfigSources> {
  const flags: Flags = new Map()
  for (const [key, value] of options.set ?? []) flags.set(key, { value, flag: `--set ${key}` })
  if (options.dataDir !== undefined) flags.set('log.dir', { value: options.dataDir, flag: '--data-dir' })
  const given = Object.entries(environment).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  const file = options.config === undefined ? {} : { file: await readSettingsFile(options.config) }
  const sources = { flags, environment: new Map(given), ...file }
  await setListeners(flags, options, sources)
  return sources
}

/** `--port` and `--host` change the one listener that the other sources say; which one is unclear when they say more. */
async function setListeners(flags: Flags, options: BrokerOptions, sources: ConfigSources): Promise<void> {
  if (options.port === undefined && options.host === undefined) return
  const flag = options.port === undefined ? '--host' : '--port'
  const { loadBrokerConfig } = await import('../src/index.ts')
  const { listeners } = loadBrokerConfig(sources)
  const [listener] = listeners
  if (listener === undefined || listeners.length > 1) {
    throw new CommandError(
      EXIT.usage,
      `Cannot use ${flag}: there are ${listeners.length} listeners, wanted one`,
      'Change the setting itself with --set listeners=…; see `millrace config explain listeners`',
    )
  }
  const changed = { ...listener, port: options.port ?? listener.port, host: options.host ?? listener.host }
  flags.set('listeners', { value: formatListener(changed), flag })
}

function formatListener({ name, protocol, host, port }: BrokerConfig['listeners'][number]): string {
  const isAddressV6 = host.includes(':') && !host.startsWith('[')
  return `${name === protocol ? '' : `${name}=`}${protocol}://${isAddressV6 ? `[${host}]` : host}:${port}`
}

async function readSettingsFile(path: string): Promise<{ readonly path: string; readonly text: string }> {
  try {
    const content = await readFile(path)
    if (content.length > CONFIG_FILE_BYTES_MAX) throw new Error(`it has ${content.length} bytes`)
    return { path, text: new TextDecoder('utf-8', { fatal: true }).decode(content) }
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    const found = isMissing ? 'there is no such file' : String(error instanceof Error ? error.message : error)
    throw new CommandError(
      isMissing ? EXIT.notFound : EXIT.failed,
      `Cannot read the settings file ${path}: ${found}, wanted text lines of key=value`,
      'Name another with --config (or MILLRACE_CONFIG), or leave it out',
      { cause: error },
    )
  }
}
