/**
 * Kafka's text checkpoints: a version, a count, and that many lines.
 *
 *   0                     version
 *   2                     lines that follow
 *   orders 0 1700         offsets: topic partition offset          leader-epoch-checkpoint: epoch startOffset
 *   orders 1 12
 *
 * Lines end with LF; numbers are decimal. Written atomically, so never torn; there is no checksum in Kafka's format.
 * A file that does not parse to the last line counts as missing: all of these are caches or lower bounds of what the
 * log itself says (docs/faults.md D5, D6). Control plane.
 */
import { isSafeTopicName } from './file-names.ts'

const VERSION = '0'
const LINES_MAX = 10_000_000

/** An offset for each topic and partition; the key is `partitionKey`. */
export type OffsetCheckpoint = ReadonlyMap<string, number>

/** Key of a partition in maps: the name of its directory. A topic's name may hold `-`, a number not, so it is unique. */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

export function formatOffsetCheckpoint(
  entries: Iterable<{ readonly topic: string; readonly partition: number; readonly offset: number }>,
): Uint8Array {
  return formatLines([...entries].map(({ topic, partition, offset }) => `${topic} ${partition} ${offset}`))
}

/** @returns Null for a text that is not exactly a checkpoint. */
export function parseOffsetCheckpoint(content: Uint8Array): OffsetCheckpoint | null {
  const lines = parseLines(content)
  if (lines === null) return null
  const offsets = new Map<string, number>()
  for (const line of lines) {
    const [topic, partition, offset, ...rest] = line.split(' ')
    const partitionNumber = parseCount(partition)
    const offsetNumber = parseCount(offset)
    if (topic === undefined || !isSafeTopicName(topic)) return null
    if (partitionNumber === null || offsetNumber === null || rest.length > 0) return null
    offsets.set(partitionKey(topic, partitionNumber), offsetNumber)
  }
  return offsets
}

export interface EpochEntry {
  readonly epoch: number
  /** First offset of the epoch; where its leader began, even if it appended nothing. */
  readonly startOffset: number
}

export function formatEpochCheckpoint(entries: readonly EpochEntry[]): Uint8Array {
  return formatLines(entries.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`))
}

/** @returns Null for a text that is not exactly a checkpoint with epochs that rise and offsets that do not fall. */
export function parseEpochCheckpoint(content: Uint8Array): EpochEntry[] | null {
  const lines = parseLines(content)
  if (lines === null) return null
  const entries: EpochEntry[] = []
  for (const line of lines) {
    const [epochText, startText, ...rest] = line.split(' ')
    const epoch = parseCount(epochText)
    const startOffset = parseCount(startText)
    if (epoch === null || startOffset === null || rest.length > 0) return null
    const last = entries.at(-1)
    if (last !== undefined && (epoch <= last.epoch || startOffset < last.startOffset)) return null
    entries.push({ epoch, startOffset })
  }
  return entries
}

function formatLines(lines: readonly string[]): Uint8Array {
  return new TextEncoder().encode([VERSION, lines.length.toString(), ...lines, ''].join('\n'))
}

function parseLines(content: Uint8Array): string[] | null {
  const lines = new TextDecoder().decode(content).split('\n')
  if (lines.at(-1) === '') lines.pop()
  const count = parseCount(lines[1])
  if (lines[0] !== VERSION || count === null || count > LINES_MAX) return null
  return lines.length === count + 2 ? lines.slice(2) : null
}

function parseCount(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return null
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : null
}
