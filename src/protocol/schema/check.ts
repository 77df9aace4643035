/**
 * Checks a declaration when its module loads, so that a slip shows before a byte is read.
 *
 * The rule that names are plain identifiers is also what makes it safe to compile them into source text.
 */
import type { Field, Message, Shape } from './fields.ts'
import { wireBytesMin } from './wire-size.ts'
import { hasVersion, isWithin } from './versions.ts'
import type { VersionRange } from './versions.ts'

const IDENTIFIER = /^[a-zA-Z][a-zA-Z0-9]*$/
/** Versions are int16 on the wire; a message with hundreds of them is a slip of the pen. */
const VERSION_MAX = 255

/** Tags from here on are ours: Kafka numbers its own from 0 and skips those it does not know (KIP-482). */
export const OWN_TAG_FIRST = 30

/** @throws {SyntaxError} naming the message, the field and the rule that it breaks. */
export function checkMessage(message: Message): void {
  const { name, versions, flexible } = message
  if (!IDENTIFIER.test(name)) refuse(name, '', 'its name is no plain identifier')
  if (versions.first > versions.last || versions.last > VERSION_MAX)
    refuse(name, '', 'its versions are not a closed range')
  if (!isWithin(flexible, versions)) refuse(name, '', 'it is flexible outside its versions')
  if (flexible.first <= flexible.last && flexible.last < versions.last) {
    refuse(name, '', 'it stops being flexible')
  }
  checkShape(message, message.shape, versions, '', false)
}

/** @param isTagged - Whether the struct is, or is in, a tagged field. */
function checkShape(
  message: Message,
  shape: Shape,
  versions: VersionRange,
  path: string,
  isTagged: boolean,
): void {
  const tags: number[] = []
  for (const [key, field] of Object.entries(shape)) {
    const here = path === '' ? key : `${path}.${key}`
    if (!IDENTIFIER.test(key) || key in Object.prototype)
      refuse(message.name, here, 'its name is no plain identifier')
    const own = {
      first: Math.max(field.versions.first, versions.first),
      last: Math.min(field.versions.last, versions.last),
    }
    if (own.first > own.last || !isWithin(field.versions, { ...versions, first: 0 })) {
      refuse(message.name, here, 'it is in no version, or in versions that its parent does not have')
    }
    if (!isWithin(field.nullable, { first: 0, last: versions.last }))
      refuse(message.name, here, 'it is nullable in versions that do not exist')
    if (field.tag !== null) {
      tags.push(field.tag)
      if (!isWithin(own, message.flexible))
        refuse(message.name, here, 'it is tagged in versions that are not flexible')
    }
    checkFallback(message, field, here)
    checkContent(message, field, own, here, isTagged || field.tag !== null)
  }
  tags.sort((a, b) => a - b)
  const kafkasCount = tags.filter((tag) => tag < OWN_TAG_FIRST).length
  tags.forEach((tag, index) => {
    if (tag !== (index < kafkasCount ? index : OWN_TAG_FIRST + index - kafkasCount))
      refuse(message.name, path, `its tags are not unique and contiguous: ${tags.join(', ')}`)
  })
}

function checkContent(
  message: Message,
  field: Field,
  versions: VersionRange,
  path: string,
  isTagged: boolean,
): void {
  // They leave as pieces of their own, and a tagged field is written to one piece behind its size.
  if (field.kind === 'records' && isTagged) refuse(message.name, path, 'its records are in a tagged field')
  if (field.shape !== null) {
    checkShape(message, field.shape, versions, path, isTagged)
  }
  if (field.items !== null) {
    const { items } = field
    if (items.kind === 'array') refuse(message.name, path, 'it is an array of arrays')
    if (
      items.tag !== null ||
      items.omissible ||
      items.nullable.last >= 0 ||
      items.versions.last !== Infinity
    ) {
      refuse(message.name, path, 'its items have options, which belong to the array')
    }
    checkContent(message, items, versions, path, isTagged)
    for (let version = versions.first; version <= versions.last; version++) {
      // The bound on counts rests on this: what has no bytes could be announced two thousand million times.
      if (wireBytesMin(items, version, hasVersion(message.flexible, version)) === 0) {
        refuse(message.name, path, `its items take no bytes in version ${version}`)
      }
    }
  }
}

function checkFallback(message: Message, field: Field, path: string): void {
  const { kind, fallback } = field
  if (fallback === null) {
    if (field.nullable.last < 0 && kind !== 'int64Bound')
      refuse(message.name, path, 'its fallback is null, which it cannot be')
    return
  }
  const fits =
    kind === 'struct'
      ? fallback === undefined
      : kind === 'array'
        ? Array.isArray(fallback) && fallback.length === 0
        : kind === 'bytes' || kind === 'records'
          ? fallback instanceof Uint8Array && fallback.length === 0
          : kind === 'bool'
            ? typeof fallback === 'boolean'
            : kind === 'string' || kind === 'uuid'
              ? typeof fallback === 'string'
              : typeof fallback === 'number' && Number.isFinite(fallback)
  if (!fits) refuse(message.name, path, `its fallback does not fit ${kind}`)
}

function refuse(message: string, path: string, reason: string): never {
  throw new SyntaxError(`Cannot declare ${message}${path === '' ? '' : ` with ${path}`}: ${reason}`)
}
