/** Ranges of versions, written as in Kafka's definitions: `3+`, `2-5`, `0`, or `none`. */

/** `n+` means n and all later ones, `n-m` both ends included. */
export type Versions = `${number}+` | `${number}-${number}` | `${number}` | 'none'

/** Both ends included; empty when `first > last`. */
export interface VersionRange {
  readonly first: number
  readonly last: number
}

const NONE: VersionRange = { first: 0, last: -1 }
const FORM = /^(\d+)(?:(\+)|-(\d+))?$/

/** @throws {SyntaxError} when `text` is no range of versions. */
export function parseVersions(text: Versions): VersionRange {
  if (text === 'none') return NONE
  const match = FORM.exec(text)
  if (match === null)
    throw new SyntaxError(`Cannot read a range of versions: '${text}', wanted n, n+, n-m or none`)
  const first = Number(match[1])
  const last = match[2] === '+' ? Infinity : match[3] === undefined ? first : Number(match[3])
  if (last < first) throw new SyntaxError(`Cannot read a range of versions: '${text}' ends before it begins`)
  return { first, last }
}

export function hasVersion(range: VersionRange, version: number): boolean {
  return version >= range.first && version <= range.last
}

/** Whether all of `inner` lies within `outer`; an open end lies within any range that begins no later. */
export function isWithin(inner: VersionRange, outer: VersionRange): boolean {
  if (inner.first > inner.last) return true
  return (
    inner.first >= outer.first &&
    inner.first <= outer.last &&
    (inner.last === Infinity || inner.last <= outer.last)
  )
}
