/**
 * A broker's configuration: where each setting comes from, and the typed object that comes of it.
 *
 * Sources, strongest first: flags of the command line, environment (`MILLRACE_` and the key in capitals, dots as
 * underscores: `log.dir` is `MILLRACE_LOG_DIR`), file (`key=value` lines, `#` comments), default. Every source is
 * checked against one table; a key that is not in it stops the start, with the nearest key in the message.
 */
import { brokerConfigTable, clusterConfigShape } from '../metadata/broker-config.ts'
import type { ClusterConfig } from '../metadata/broker-config.ts'
import { ConfigError, parseConfig, quote } from '../metadata/config-table.ts'
import type { ConfigDefinition, ConfigEntries, ConfigOf, ConfigTable } from '../metadata/config-table.ts'
import { staticConfigShape } from './static-config.ts'

export const brokerTable: ConfigTable = brokerConfigTable(staticConfigShape)

export interface BrokerConfig extends ConfigOf<typeof staticConfigShape>, ClusterConfig {
  /** The settings that were given, by any source: the static defaults of topics are among them. */
  readonly given: ConfigEntries
}

export interface ConfigSources {
  /** Settings from flags, by key, with the flag as the user wrote it. */
  readonly flags?: ReadonlyMap<string, { readonly value: string; readonly flag: string }>
  readonly environment?: ReadonlyMap<string, string>
  readonly file?: { readonly path: string; readonly text: string }
}

/** One row of `config explain`. */
export interface ExplainedSetting {
  readonly name: string
  readonly value: string
  /** Such as `default`, `--port`, `MILLRACE_LOG_DIR` or `broker.properties:3`. */
  readonly source: string
  readonly documentation: string
}

const ENVIRONMENT_PREFIX = 'MILLRACE_'
/** Variables with the prefix that are no broker settings: they belong to the command line. */
const RESERVED_VARIABLES: ReadonlySet<string> = new Set([
  'MILLRACE_BOOTSTRAP',
  'MILLRACE_CONFIG',
  'MILLRACE_PARENT',
])

interface Given {
  readonly value: string
  readonly source: string
}

/**
 * Reads the configuration.
 *
 * @throws {ConfigError} `CONFIG_UNKNOWN`, `CONFIG_INVALID`: the message names the source, the value found and what
 *   is allowed.
 */
export function loadBrokerConfig(sources: ConfigSources = {}): BrokerConfig {
  const given = collect(sources)
  return {
    ...(typed(staticConfigShape, given) as ConfigOf<typeof staticConfigShape>),
    ...(typed(clusterConfigShape, given) as ClusterConfig),
    given: new Map([...given].map(([name, { value }]) => [name, value])),
  }
}

/** Every setting with its value and where that came from, in the order of the table. @throws {ConfigError} as above. */
export function explainBrokerConfig(sources: ConfigSources = {}): readonly ExplainedSetting[] {
  const given = collect(sources)
  return brokerTable.definitions.map(({ name, fallback, documentation, isSensitive }) => {
    const found = given.get(name)
    const value = isSensitive ? '(hidden)' : (found?.value ?? fallback)
    return { name, value, source: found?.source ?? 'default', documentation }
  })
}

/** Merges the sources, weakest first, and checks each setting with the name of its source. */
function collect({ flags, environment, file }: ConfigSources): ReadonlyMap<string, Given> {
  const given = new Map<string, Given>()
  const add = (name: string, value: string, source: string): void => {
    try {
      parseConfig(brokerTable.get(name), value)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      throw new ConfigError(error.code, name, `${error.message} (from ${source})`)
    }
    given.set(name, { value: value.trim(), source })
  }
  for (const { name, value, line } of parseProperties(file)) add(name, value, `${file?.path ?? ''}:${line}`)
  for (const [variable, value] of environment ?? []) {
    if (!variable.startsWith(ENVIRONMENT_PREFIX) || RESERVED_VARIABLES.has(variable)) continue
    add(variable.slice(ENVIRONMENT_PREFIX.length).toLowerCase().replaceAll('_', '.'), value, variable)
  }
  for (const [name, { value, flag }] of flags ?? []) add(name, value, flag)
  return given
}

function typed(
  shape: typeof staticConfigShape | typeof clusterConfigShape,
  given: ReadonlyMap<string, Given>,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries<ConfigDefinition<unknown>>(shape).map(([property, definition]) => [
      property,
      parseConfig<unknown>(definition, given.get(definition.name)?.value ?? definition.fallback),
    ]),
  )
}

/** Lines of `key=value`; blank lines and lines that begin with `#` or `!` are comments. */
function parseProperties(file: ConfigSources['file']): { name: string; value: string; line: number }[] {
  if (file === undefined) return []
  return file.text.split(/\r?\n/).flatMap((text, index) => {
    const content = text.trim()
    if (content === '' || content.startsWith('#') || content.startsWith('!')) return []
    const separator = content.indexOf('=')
    if (separator <= 0) {
      const where = `${file.path}:${index + 1}`
      throw new ConfigError(
        'CONFIG_INVALID',
        content,
        `Cannot read ${where}: expected key=value, found ${quote(content)}`,
      )
    }
    const name = content.slice(0, separator).trim()
    return [{ name, value: content.slice(separator + 1).trim(), line: index + 1 }]
  })
}
