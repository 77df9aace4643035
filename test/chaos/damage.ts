/**
 * Damage to the files of a broker that is stopped (F-ROT), of the kinds that its replicas, or its own log, can put right:
 *
 *   bits          single bits flipped in closed segments. Whoever verifies the directory is told of each file (that is checked
 *                 here), cuts it there and takes the mark of the clean stop away, so that the start finds out and fetches the
 *                 log anew
 *   indexes       offset and time indexes, producer snapshots and epoch checkpoints cut, scrambled or gone (D5)
 *   checkpoints   all checkpoints as they were some time ago; and bits flipped above the old recovery point, where the next start
 *                 cannot tell them from a write that a power cut tore (D2, D6)
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs' // prettier-ignore
import { join } from 'node:path'
import { Prng } from '../../src/env/sim/prng.ts'
import { verifyDataDirectory } from '../../src/index.ts'
import { parseOffsetCheckpoint } from '../../src/log/checkpoint-file.ts'
import type { Damage } from './plan.ts'

const RECOVERY_POINTS = 'recovery-point-offset-checkpoint'
const CHECKPOINTS = [RECOVERY_POINTS, 'replication-offset-checkpoint', 'log-start-offset-checkpoint']
const EPOCHS = 'leader-epoch-checkpoint'
const CLEAN_MARK = '.kafka_cleanshutdown'
const IS_DERIVED = /\.(index|timeindex|snapshot)$/
/** Files of one broker that are damaged at once, at most. */
const FILES_MAX = 6

export interface DamageOptions {
  readonly directory: string
  readonly topic: string
  readonly seed: number
  /** Where checkpoints were copied to some time ago. */
  readonly saved: string
}

export interface DamagedFile {
  readonly path: string
  readonly how: string
}

/** @returns The files that were damaged; none when there was nothing to damage yet. */
export async function damage(kind: Damage, options: DamageOptions): Promise<readonly DamagedFile[]> {
  const random = new Prng(String(options.seed), 'damage')
  switch (kind) {
    case 'bits':
      return damageBits(random, options)
    case 'indexes':
      return damageIndexes(random, options)
    case 'checkpoints':
      return damageCheckpoints(random, options)
  }
}

/** Copies the checkpoints of a broker, which may run: they are replaced and never written in place. */
export function saveCheckpoints(directory: string, saved: string): void {
  mkdirSync(saved, { recursive: true })
  for (const name of CHECKPOINTS) {
    try {
      copyFileSync(join(directory, name), join(saved, name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error // Not written yet.
    }
  }
}

/** Flips one bit of a file somewhere in `[start, end)`. @returns Where. */
export function flipBit(path: string, random: Prng, start = 0, end = statSync(path).size): number {
  const bytes = readFileSync(path)
  const position = start + random.below(end - start)
  bytes[position]! ^= 1 << random.below(8)
  writeFileSync(path, bytes)
  return position
}

async function damageBits(random: Prng, { directory, topic }: DamageOptions): Promise<DamagedFile[]> {
  const paths = someOf(random, closedSegments(directory, topic), FILES_MAX)
  const flipped = paths.map((path) => ({ path, position: flipBit(path, random) }))
  const found = new Map<string, number>()
  for await (const { faults } of verifyDataDirectory(directory))
    for (const { path, position } of faults)
      if (position !== null) found.set(path, Math.min(position, found.get(path) ?? Infinity))
  for (const { path, position } of flipped) {
    const foundAt = found.get(path)
    // Of each log only the first damaged segment is named: nothing behind it can be judged.
    const isBehindOther = [...found.keys()].some(
      (other) => partitionOf(other) === partitionOf(path) && other < path,
    )
    if (foundAt === undefined && !isBehindOther)
      throw new Error(
        `A bit was flipped in ${path} at ${position}, and verifying the directory did not find it`,
      )
    truncateSync(path, foundAt ?? position)
  }
  // After a clean stop closed segments are taken on trust; without the mark the start looks at their seams.
  rmSync(join(directory, CLEAN_MARK), { force: true })
  return flipped.map(({ path, position }) => ({ path, how: `a bit at ${position}` }))
}

function damageIndexes(random: Prng, { directory, topic }: DamageOptions): DamagedFile[] {
  const files = logDirectories(directory, topic).flatMap((log) =>
    readdirSync(log)
      .filter((name) => IS_DERIVED.test(name) || name === EPOCHS)
      .map((name) => join(log, name)),
  )
  return someOf(random, files, FILES_MAX).map((path) => {
    const { size } = statSync(path)
    const how = size === 0 ? 'remove' : random.pick(['cut', 'flip', 'remove', 'zero'])
    if (how === 'remove') rmSync(path)
    else if (how === 'cut') truncateSync(path, random.below(size))
    else if (how === 'zero') writeFileSync(path, Buffer.alloc(size))
    else flipBit(path, random)
    return { path, how }
  })
}

function damageCheckpoints(random: Prng, { directory, topic, saved }: DamageOptions): DamagedFile[] {
  const old = CHECKPOINTS.filter((name) => existsSync(join(saved, name)))
  if (!old.includes(RECOVERY_POINTS)) return []
  rmSync(join(directory, CLEAN_MARK), { force: true })
  for (const name of old) copyFileSync(join(saved, name), join(directory, name))
  const points = parseOffsetCheckpoint(readFileSync(join(saved, RECOVERY_POINTS)))
  const above = closedSegments(directory, topic).filter((path) => {
    const point = points?.get(partitionOf(path)) ?? 0
    return Number(path.slice(path.lastIndexOf('/') + 1, -'.log'.length)) >= point
  })
  const flipped = someOf(random, above, FILES_MAX)
  return [
    ...old.map((name) => ({ path: join(directory, name), how: 'as it was' })),
    ...flipped.map((path) => ({ path, how: `a bit at ${flipBit(path, random)}` })),
  ]
}

/** Those that something follows. */
function closedSegments(directory: string, topic: string): string[] {
  return logDirectories(directory, topic).flatMap((log) => {
    const names = readdirSync(log).filter((name) => name.endsWith('.log')).sort() // prettier-ignore
    return names.slice(0, -1).map((name) => join(log, name))
  })
}

function logDirectories(directory: string, topic: string): string[] {
  return readdirSync(directory)
    .filter((name) => new RegExp(`^${topic}-\\d+$`).test(name))
    .map((name) => join(directory, name))
}

/** `topic-partition`, of a file of it. */
function partitionOf(path: string): string {
  return path.split('/').at(-2)!
}

function someOf<T>(random: Prng, items: readonly T[], max: number): T[] {
  const left = [...items]
  const count = Math.min(left.length, 1 + random.below(max))
  return Array.from({ length: count }, () => left.splice(random.below(left.length), 1)[0]!)
}
