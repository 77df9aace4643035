/**
 * The language in which configuration is declared, and the only place that turns its text into values. A table lists
 * definitions by the property they become; from the table come the typed object, the checks of AlterConfigs, the
 * answers of DescribeConfigs and the tables of docs/configuration.md.
 *
 * Values arrive from clients, so nothing here loads, opens or runs what a value names (faults.md X9, X10): a value is
 * a number, a word of a list, or text within a bound; a key that is not in the table is refused.
 */
import { assert } from '../base/assert.ts'

/** Dynamic or static settings of one resource: key to text. */
export type ConfigEntries = ReadonlyMap<string, string>

/** Longest value in characters: far above any real one, far below what would swell the metadata log (X26). */
export const CONFIG_VALUE_LENGTH_MAX = 4096

export type ConfigType = 'boolean' | 'string' | 'int' | 'long' | 'double' | 'list'

/** Where a value came from, strongest first. Each becomes a code of DescribeConfigs. */
export type ConfigSource =
  'dynamic topic' | 'dynamic broker' | 'dynamic default broker' | 'static broker' | 'default'

/** When a broker's setting may change: never while it runs, or for one broker or all at once by AlterConfigs. */
export type ConfigUpdate = 'read-only' | 'dynamic'

export interface ConfigDefinition<T> {
  /** Key as clients write it, such as `retention.ms`. */
  readonly name: string
  readonly type: ConfigType
  /** The default, as text that `parse` accepts. */
  readonly fallback: string
  /** One or two full sentences for DescribeConfigs and docs/configuration.md. */
  readonly documentation: string
  /** What is allowed, as the end of "it must be …". */
  readonly allowed: string
  /** Broker keys that give the default of a topic's setting, strongest first. */
  readonly synonyms: readonly ConfigSynonym[]
  readonly update: ConfigUpdate
  /** A sensitive value never leaves the broker. */
  readonly isSensitive: boolean
  /** @returns The value, or undefined when `text` is none. */
  readonly parse: (text: string) => T | undefined
}

/** A broker key whose value, times `factor`, is a topic's default: `log.retention.hours` counts in 3,600,000 ms. */
export interface ConfigSynonym {
  readonly name: string
  readonly factor: number
}

/** Settings by property name; the keys of clients are inside the definitions. */
export type ConfigShape = Readonly<Record<string, ConfigDefinition<unknown>>>

/** The typed object a table's text parses into. */
export type ConfigOf<S extends ConfigShape> = {
  readonly [K in keyof S]: S[K] extends ConfigDefinition<infer T> ? T : never
}

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly code: 'CONFIG_UNKNOWN' | 'CONFIG_INVALID'
  readonly key: string

  constructor(code: ConfigError['code'], key: string, message: string) {
    super(message)
    this.code = code
    this.key = key
  }
}

interface Options {
  readonly name: string
  readonly fallback: string
  readonly documentation: string
  readonly synonyms?: readonly (string | ConfigSynonym)[]
  readonly update?: ConfigUpdate
  readonly isSensitive?: boolean
}

function define<T>(
  options: Options,
  type: ConfigType,
  allowed: string,
  parse: (text: string) => T | undefined,
): ConfigDefinition<T> {
  assert(parse(options.fallback) !== undefined, `Default of ${options.name} must itself be valid`)
  return {
    name: options.name,
    type,
    fallback: options.fallback,
    documentation: options.documentation,
    allowed,
    synonyms: (options.synonyms ?? []).map((each) =>
      typeof each === 'string' ? { name: each, factor: 1 } : each,
    ),
    update: options.update ?? 'dynamic',
    isSensitive: options.isSensitive ?? false,
    parse,
  }
}

export function booleanConfig(options: Options): ConfigDefinition<boolean> {
  return define(options, 'boolean', 'true or false', (text) => {
    const word = text.toLowerCase()
    return word === 'true' ? true : word === 'false' ? false : undefined
  })
}

const INT32_MAX = 2 ** 31 - 1

/** A whole number of 32 bits, from `min` to `max`, both included. */
export function intConfig(options: Options & { min: number; max?: number }): ConfigDefinition<number> {
  const max = options.max ?? INT32_MAX
  return define(options, 'int', `a whole number from ${options.min} to ${max}`, (text) => {
    const value = parseWhole(text)
    return value === undefined || value < options.min || value > max ? undefined : Number(value)
  })
}

const INT64_MAX = 2n ** 63n - 1n

/**
 * A whole number of 64 bits from `min` to `max` (default: all). In memory a value past 2^53 - 1 becomes 2^53 - 1: as milliseconds that is
 * 285,000 years and as bytes 8 PiB, so nothing can tell them apart. Its text is kept and reported as it was given.
 */
export function longConfig(options: Options & { min: number; max?: number }): ConfigDefinition<number> {
  const max = options.max === undefined ? INT64_MAX : BigInt(options.max)
  return define(options, 'long', `a whole number from ${options.min} to ${max.toString()}`, (text) => {
    const value = parseWhole(text)
    if (value === undefined || value < options.min || value > max) return undefined
    return Number(value > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : value)
  })
}

/** A decimal number from `min` to `max`, both included. */
export function doubleConfig(options: Options & { min: number; max: number }): ConfigDefinition<number> {
  return define(options, 'double', `a number from ${options.min} to ${options.max}`, (text) => {
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) return undefined
    const value = Number(text)
    return value >= options.min && value <= options.max ? value : undefined
  })
}

/** One word out of `words`. */
export function wordConfig<const W extends string>(
  options: Options & { words: readonly W[] },
): ConfigDefinition<W> {
  return define(options, 'string', oneOf(options.words), (text) =>
    options.words.find((word) => word === text),
  )
}

/** One or more different words out of `words`, separated by commas. */
export function listConfig<W extends string>(
  options: Options & { words: readonly W[] },
): ConfigDefinition<readonly W[]> {
  return define(options, 'list', `a list of ${options.words.join(', ')}`, (text) => {
    const found = splitList(text).map((item) => options.words.find((word) => word === item))
    if (found.length === 0 || new Set(found).size < found.length) return undefined
    return found.every((word) => word !== undefined) ? found : undefined
  })
}

/**
 * A Kafka key that has one value here, because the other values ask for what Millrace does not do. Tools that copy a
 * topic's settings send the default, which is fine; another value is refused instead of being silently ignored.
 */
export function fixedConfig(
  options: Options & { type: ConfigType; reason: string },
): ConfigDefinition<string> {
  return define(options, options.type, `${options.fallback}, because ${options.reason}`, (text) =>
    text === options.fallback ? text : undefined,
  )
}

/** Parts of a list value, without blanks and empty parts. */
export function splitList(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function oneOf(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`
}

function parseWhole(text: string): bigint | undefined {
  // 20 digits hold every 64-bit number; the bound keeps BigInt from chewing on a megabyte of them.
  return /^[+-]?\d{1,20}$/.test(text) ? BigInt(text.replace('+', '')) : undefined
}

/** A set of definitions, looked up by key. */
export class ConfigTable<S extends ConfigShape = ConfigShape> {
  readonly shape: S
  /** What kind of resource it configures, for messages: `topic` or `broker`. */
  readonly resource: string
  readonly #byName = new Map<string, ConfigDefinition<unknown>>()

  constructor(resource: string, shape: S) {
    this.resource = resource
    this.shape = shape
    for (const definition of Object.values(shape)) {
      assert(!this.#byName.has(definition.name), `Config ${definition.name} must be defined once`)
      this.#byName.set(definition.name, definition)
    }
  }

  get definitions(): readonly ConfigDefinition<unknown>[] {
    return Object.values(this.shape)
  }

  find(name: string): ConfigDefinition<unknown> | undefined {
    return this.#byName.get(name)
  }

  /** @throws {ConfigError} `CONFIG_UNKNOWN`, naming the nearest key. */
  get(name: string): ConfigDefinition<unknown> {
    const definition = this.#byName.get(name)
    if (definition !== undefined) return definition
    const nearest = nearestName(name, this.#byName.keys())
    const hint = nearest === null ? '' : `; the nearest is ${nearest}`
    throw new ConfigError(
      'CONFIG_UNKNOWN',
      name,
      `Cannot set ${this.resource} config ${quote(name)}: there is no such key${hint}`,
    )
  }

  /**
   * Checks one setting.
   *
   * @throws {ConfigError} `CONFIG_UNKNOWN`; `CONFIG_INVALID` with what was found and what is allowed.
   */
  check(name: string, text: string): void {
    parseConfig(this.get(name), text)
  }
}

/**
 * Parses one value; blanks around it do not count.
 *
 * @throws {ConfigError} `CONFIG_INVALID`.
 */
export function parseConfig<T>(definition: ConfigDefinition<T>, text: string, name = definition.name): T {
  if (text.length > CONFIG_VALUE_LENGTH_MAX) {
    throw new ConfigError(
      'CONFIG_INVALID',
      name,
      `Cannot set ${name}: its value has ${text.length} characters, at most ${CONFIG_VALUE_LENGTH_MAX} are allowed`,
    )
  }
  const value = definition.parse(text.trim())
  if (value !== undefined) return value
  const shown = definition.isSensitive ? 'the given value' : quote(text)
  throw new ConfigError(
    'CONFIG_INVALID',
    name,
    `Cannot set ${name} to ${shown}: it must be ${definition.allowed}`,
  )
}

/** Longest quotation of client text in a message, in characters. */
const QUOTED_LENGTH_MAX = 100

/** Client text for a message: escaped, and cut when it is long. */
export function quote(text: string): string {
  const isLong = text.length > QUOTED_LENGTH_MAX
  return JSON.stringify(isLong ? `${text.slice(0, QUOTED_LENGTH_MAX)}…` : text)
}

/** The known name that fewest edits lead to, or null when none is near enough to have been meant. */
function nearestName(name: string, known: Iterable<string>): string | null {
  const wanted = name.slice(0, QUOTED_LENGTH_MAX).toLowerCase()
  let best: string | null = null
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, candidate)
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Levenshtein distance, one row at a time. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const substitution = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[to.length]!
}
