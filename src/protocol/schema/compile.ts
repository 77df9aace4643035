/**
 * Compiles a message at one version into straight-line code that reads and writes it.
 *
 * Why source text and not closures: with named loads, one literal per struct and direct calls, V8 inlines all of a
 * message; closures over `object[key]` go megamorphic once two messages have used them and take two to six times as long.
 * Safe because nothing but checked identifiers, numbers and JSON literals of our own declarations gets into the text
 * (check.ts). Where the host forbids compiling strings, interpreter.ts does the same more slowly.
 *
 * The code of a struct is `read_<path>` and `write_<path>`; errors show it in stack traces as `<Message>.v<n>.js`.
 */
import { EncodeError } from '../../bytes/encode-error.ts'
import type { Codec, Field, Message, Shape } from './fields.ts'
import { hasVersion } from './versions.ts'
import { wireBytesMin } from './wire-size.ts'
import * as wire from './wire.ts'

const NO_BYTES = new Uint8Array(0)

/** Compiles the codec of `message` in `version`, one of its versions. Throws `EvalError` where the host forbids it. */
export function compileCodec(message: Message, version: number): Codec {
  const source = generateSource(message, version)
  // eslint-disable-next-line @typescript-eslint/no-implied-eval, @typescript-eslint/no-unsafe-call -- see the head of the file
  return new Function('wire', 'NO_BYTES', 'EncodeError', source)(wire, NO_BYTES, EncodeError) as Codec
}

/** The text that `compileCodec` compiles. */
export function generateSource(message: Message, version: number): string {
  return new Generator(message, version).generate()
}

class Generator {
  readonly #message: Message
  readonly #version: number
  readonly #isFlexible: boolean
  readonly #functions: string[] = []
  readonly #wireNames = new Set<string>()

  constructor(message: Message, version: number) {
    this.#message = message
    this.#version = version
    this.#isFlexible = hasVersion(message.flexible, version)
  }

  generate(): string {
    const { name, shape } = this.#message
    this.#emitStruct('', shape)
    const label = `${name} v${this.#version}`
    return [
      `'use strict'`,
      `const { ${[...this.#wireNames].join(', ')} } = wire`,
      `const NO_ITEMS = []`,
      `function fail(path, why) { throw new EncodeError('Cannot encode ${label}: ' + path + ' ' + why) }`,
      ...this.#functions,
      `return { read, write }`,
      `//# sourceURL=millrace/${name}.v${this.#version}.js`,
    ].join('\n')
  }

  #emitStruct(path: string, shape: Shape): void {
    const fields = Object.entries(shape)
    for (const [key, field] of fields) this.#emitParts(join(path, key), field)
    this.#functions.push(this.#structReader(path, fields), this.#structWriter(path, fields))
  }

  /** Emits the functions that a field's own content needs. */
  #emitParts(path: string, field: Field): void {
    if (field.kind === 'array') {
      const items = field.items!
      if (items.shape !== null && this.#carries(field)) this.#emitStruct(path, items.shape)
      if (this.#carries(field))
        this.#functions.push(this.#arrayReader(path, field), this.#arrayWriter(path, field))
    } else if (field.kind === 'struct') {
      if (this.#carries(field)) this.#emitStruct(path, field.shape!)
      this.#emitFallbackTests(path, field, !this.#carries(field))
    }
  }

  /** @param isDeep - Whether the tests of structs inside are still missing, too. */
  #emitFallbackTests(path: string, field: Field, isDeep: boolean): void {
    if (field.kind !== 'struct') return
    if (isDeep)
      for (const [key, part] of Object.entries(field.shape!))
        this.#emitFallbackTests(join(path, key), part, true)
    if (field.fallback === undefined) this.#functions.push(fallbackTest(path, field.shape!))
  }

  #structReader(path: string, fields: [string, Field][]): string {
    const parts = fields.map(([key, field]) => {
      const isRead = this.#carries(field) && field.tag === null
      return `    ${key}: ${isRead ? this.#readExpression(join(path, key), field) : fallbackLiteral(field)},`
    })
    const lines = [`function read${suffix(path)}(r) {`, `  const m = {`, ...parts, `  }`]
    const tagged = fields.filter(([, field]) => field.tag !== null && this.#carries(field))
    if (tagged.length > 0) {
      lines.push(
        `  for (let left = ${this.#wire('readTagCount')}(r); left > 0; left--) {`,
        `    const tag = r.uvarint()`,
        `    const end = ${this.#wire('readTagEnd')}(r)`,
        `    switch (tag) {`,
        ...tagged.map(
          ([key, field]) =>
            `      case ${field.tag!}: m.${key} = ${this.#readExpression(join(path, key), field)}; break`,
        ),
        `      default: r.position = end`,
        `    }`,
        `    ${this.#wire('checkTagEnd')}(r, end)`,
        `  }`,
      )
    } else if (this.#isFlexible) lines.push(`  ${this.#wire('skipTags')}(r)`)
    lines.push(`  return m`, `}`)
    return lines.join('\n')
  }

  #structWriter(path: string, fields: [string, Field][]): string {
    const lines = [
      `function write${suffix(path)}(w, m) {`,
      `  if (m === null || typeof m !== 'object') fail('${path || 'the message'}', 'is no object')`,
    ]
    for (const [key, field] of fields) {
      const here = join(path, key)
      if (!this.#carries(field)) {
        if (field.ignorable) continue
        lines.push(
          `  if (m.${key} !== undefined && !(${isFallback(here, field, `m.${key}`)})) fail('${here}', 'is not carried')`,
        )
      } else if (field.tag === null) {
        const value = field.omissible
          ? `m.${key} === undefined ? ${emptyOrLiteral(field)} : m.${key}`
          : `m.${key}`
        lines.push(`  ${this.#writeStatement(here, field, value)}`)
      }
    }
    if (this.#isFlexible) lines.push(...this.#taggedWriter(path, fields))
    lines.push(`}`)
    return lines.join('\n')
  }

  #taggedWriter(path: string, fields: [string, Field][]): string[] {
    const tagged = fields
      .filter(([, field]) => field.tag !== null && this.#carries(field))
      .sort(([, a], [, b]) => a.tag! - b.tag!)
    if (tagged.length === 0) return [`  w.int8(0)`]
    const counts: string[] = []
    const writes: string[] = []
    for (const [key, field] of tagged) {
      const here = join(path, key)
      counts.push(
        `  const has_${key} = m.${key} !== undefined && !(${isFallback(here, field, `m.${key}`)})`,
        `  if (has_${key}) tags++`,
      )
      writes.push(
        `  if (has_${key}) {`,
        `    w.uvarint(${field.tag!})`,
        `    w.sized((w, v) => { ${this.#writeStatement(here, field, 'v')} }, m.${key})`,
        `  }`,
      )
    }
    return [`  let tags = 0`, ...counts, `  w.uvarint(tags)`, ...writes]
  }

  #arrayReader(path: string, field: Field): string {
    const items = field.items!
    const bytesMin = wireBytesMin(items, this.#version, this.#isFlexible)
    const count = this.#wire(this.#isFlexible ? 'readCompactCount' : 'readCount')
    const none = this.#isNullable(field) ? 'null' : `r.fail('${path}', 'null is not allowed')`
    return [
      `function readMany${suffix(path)}(r) {`,
      `  const count = ${count}(r, ${bytesMin})`,
      `  if (count < 0) return ${none}`,
      `  const items = []`,
      `  for (let index = 0; index < count; index++) items.push(${this.#readExpression(path, items)})`,
      `  return items`,
      `}`,
    ].join('\n')
  }

  #arrayWriter(path: string, field: Field): string {
    const lines = [`function writeMany${suffix(path)}(w, items) {`]
    if (this.#isNullable(field)) {
      lines.push(`  if (items === null) { ${this.#isFlexible ? 'w.int8(0)' : 'w.int32(-1)'}; return }`)
    }
    lines.push(
      `  if (!Array.isArray(items)) fail('${path}', 'is no array')`,
      `  ${this.#isFlexible ? 'w.uvarint(items.length + 1)' : 'w.int32(items.length)'}`,
      `  for (let index = 0; index < items.length; index++) ${this.#writeStatement(path, field.items!, 'items[index]')}`,
      `}`,
    )
    return lines.join('\n')
  }

  #readExpression(path: string, field: Field): string {
    switch (field.kind) {
      case 'array':
        return `readMany${suffix(path)}(r)`
      case 'struct':
        return this.#isNullable(field)
          ? `${this.#wire('readPresence')}(r) ? read${suffix(path)}(r) : null`
          : `read${suffix(path)}(r)`
      case 'string':
        return `${this.#sizedForm('read', field, 'String')}(r)`
      case 'bytes':
      case 'records':
        return `${this.#sizedForm('read', field, 'Bytes')}(r)`
      case 'int64Bound':
        return `${this.#wire('readInt64Bound')}(r)`
      default:
        return `r.${field.kind}()`
    }
  }

  #writeStatement(path: string, field: Field, value: string): string {
    switch (field.kind) {
      case 'array':
        return `writeMany${suffix(path)}(w, ${value})`
      case 'struct':
        return this.#isNullable(field)
          ? `{ const present = ${value}; w.int8(present === null ? -1 : 1); if (present !== null) write${suffix(path)}(w, present) }`
          : `write${suffix(path)}(w, ${value})`
      case 'string':
        return `${this.#sizedForm('write', field, 'String')}(w, ${value})`
      case 'bytes':
        return `${this.#sizedForm('write', field, 'Bytes')}(w, ${value})`
      case 'records':
        return `${this.#sizedForm('write', field, 'Records')}(w, ${value})`
      case 'int64Bound':
        return `${this.#wire('writeInt64Bound')}(w, ${value})`
      default:
        return `w.${field.kind}(${value})`
    }
  }

  #sizedForm(direction: 'read' | 'write', field: Field, noun: 'String' | 'Bytes' | 'Records'): string {
    const form = `${this.#isFlexible ? 'Compact' : ''}${this.#isNullable(field) ? 'Nullable' : ''}${noun}`
    return this.#wire(`${direction}${form}` as keyof typeof wire)
  }

  #wire(name: keyof typeof wire): string {
    this.#wireNames.add(name)
    return name
  }

  #carries(field: Field): boolean {
    return hasVersion(field.versions, this.#version)
  }

  #isNullable(field: Field): boolean {
    return hasVersion(field.nullable, this.#version)
  }
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`
}

/** Names have no underscore, so paths of different fields never meet. */
function suffix(path: string): string {
  return path === '' ? '' : `_${path.replaceAll('.', '_')}`
}

/** What decoding puts where the wire has nothing; a new array or struct each time, since the owner may change it. */
function fallbackLiteral(field: Field): string {
  if (field.kind === 'struct' && field.fallback === undefined) {
    const parts = Object.entries(field.shape!).map(([key, part]) => `${key}: ${fallbackLiteral(part)}`)
    return `{ ${parts.join(', ')} }`
  }
  if (field.fallback instanceof Uint8Array) return 'NO_BYTES'
  return JSON.stringify(field.fallback)
}

/** What encoding writes for an omitted field. */
function emptyOrLiteral(field: Field): string {
  return Array.isArray(field.fallback) ? 'NO_ITEMS' : fallbackLiteral(field)
}

function isFallback(path: string, field: Field, value: string): string {
  if (field.fallback === null) return `${value} === null`
  if (field.kind === 'struct') return `isFallback${suffix(path)}(${value})`
  if (typeof field.fallback === 'object') return `${value} !== null && ${value}.length === 0`
  return `${value} === ${fallbackLiteral(field)}`
}

function fallbackTest(path: string, shape: Shape): string {
  const tests = Object.entries(shape).map(([key, field]) => {
    const here = join(path, key)
    return `(m.${key} === undefined || ${isFallback(here, field, `m.${key}`)})`
  })
  return [
    `function isFallback${suffix(path)}(m) {`,
    `  return m !== null && ${tests.join(' && ')}`,
    `}`,
  ].join('\n')
}
