/**
 * Puts a cleaned segment in the place of those it was made from, so that a crash at any step leaves the old ones or the new
 * one (docs/faults.md ST-12):
 *
 *   step                                      a start that finds this
 *   1  b.log.cleaned written and synced       drops it
 *   2  renamed to b.log.swap, synced          from here on the new segment counts: it goes on with step 3
 *   3  later old segments and the indexes
 *      of b removed, directory synced
 *   4  renamed to b.log, directory synced     is done; indexes are written, or built anew by the next start
 *
 * The old segments span `[b, end)`, and so does the new one: which of them must go can be told from the new one alone. The
 * directory is synced between 3 and 4, or a power cut could bring back an old segment beside the new one.
 *
 * Readers. Between 2 and 4 the new segment is read under its swap name. Whoever reads an old one meanwhile has its handle,
 * or fails, or gets other bytes; `generation` has risen, so what it got is thrown away and read anew (RP-20).
 *
 * @see Kafka has the same names and steps, so either finishes what the other began.
 */
import { assert } from '../base/assert.ts'
import type { FileSystem } from '../env/index.ts'
import { lastOffsetAt } from '../records/batch-header.ts'
import { isLackOfRoom } from './atomic-file.ts'
import { scanBatches } from './batch-scan.ts'
import {
  CLEANED_SUFFIX,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  parseOffsetFileName,
  SWAP_SUFFIX,
  TIME_INDEX_SUFFIX,
} from './file-names.ts'
import type { LogCore } from './log-core.ts'
import { LogError } from './log-error.ts'
import type { Segment } from './segment.ts'

/** Tries of a step for which there is no room, or no file handle, and the ms between them: half a minute. */
const TRIES_MAX = 120
const TRY_AGAIN_MS = 250

/**
 * Steps 2 to 4, alone on the log's maintenance queue.
 *
 * @param old - Neighbours in `core.segments`, none of them active.
 * @param cleaned - Step 1 is done.
 * @throws {FileError} If step 2 failed for lack of room: then nothing has changed. @throws {LogError} `LOG_FAILED`.
 */
export async function replaceSegments(
  core: LogCore,
  old: readonly Segment[],
  cleaned: Segment,
): Promise<void> {
  const { files, pool, directory } = core.ports
  const logPath = old[0]!.path
  const swapPath = logPath + SWAP_SUFFIX
  const first = core.segments.indexOf(old[0]!)
  assert(
    old.every((segment, index) => segment === core.segments[first + index]),
    'Segments that are replaced are neighbours in the log',
  )
  assert(first + old.length < core.segments.length, 'The active segment is never replaced')
  assert(cleaned.baseOffset === old[0]!.baseOffset, 'A cleaned segment begins where the first old one did')
  await files.rename(logPath + CLEANED_SUFFIX, swapPath)
  try {
    await insist(core, () => files.syncDirectory(directory))
    cleaned.path = swapPath
    core.segments.splice(core.segments.indexOf(old[0]!), old.length, cleaned)
    core.generation++
    const gone = old.flatMap(({ paths }) => paths).filter((path) => path !== logPath)
    for (const path of gone.reverse()) {
      await pool.retire(path)
      await insist(core, () => files.remove(path))
    }
    await insist(core, () => files.syncDirectory(directory))
    // Pinned, so that no reader opens the swap name in the moment in which it is gone.
    await insist(core, () =>
      pool.withFile(swapPath, async () => {
        if (cleaned.path === swapPath) await files.rename(swapPath, logPath)
        const retired = pool.retire(logPath)
        cleaned.path = logPath
        core.generation++
        await retired
      }),
    )
    await pool.retire(swapPath)
    await insist(core, () => files.syncDirectory(directory))
  } catch (error) {
    // The files are of two kinds now, and only a start can tell what is what.
    throw core.fail('Compacted', error)
  }
  try {
    await cleaned.flushIndexes(true)
  } catch (error) {
    if (!isLackOfRoom(error)) throw error
    core.ports.logger.warn('Wrote the indexes of a cleaned segment: they stay in memory', {
      path: logPath,
      error,
    })
  }
}

/** What has begun must end: a disk without room, or a process without handles, is given some time. */
async function insist(core: LogCore, step: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await step()
      return
    } catch (error) {
      if (!isLackOfRoom(error) || tries === TRIES_MAX) throw error
      await new Promise<void>((resolve) => core.ports.clock.after(TRY_AGAIN_MS, resolve))
    }
  }
}

/** A replacement past step 2. */
export interface UnfinishedSwap {
  readonly baseOffset: number
  /** Old segments that begin below it must go. */
  readonly endOffset: number
  /** Name of the swap file. */
  readonly name: string
}

/**
 * The replacements that a stop has cut short. Reads only.
 *
 * @throws {LogError} `LOG_CORRUPT` if a swap file is not sound to its end: it was synced before it got its name.
 */
export async function findUnfinishedSwaps(files: FileSystem, directory: string): Promise<UnfinishedSwap[]> {
  const swaps: UnfinishedSwap[] = []
  for (const name of await files.list(directory)) {
    if (!name.endsWith(LOG_SUFFIX + SWAP_SUFFIX)) continue
    const parsed = parseOffsetFileName(name.slice(0, -SWAP_SUFFIX.length))
    if (parsed === null) continue
    const file = await files.open(`${directory}/${name}`, 'read')
    try {
      let endOffset = parsed.offset
      const range = { startPosition: 0, endPosition: await file.size(), verifies: true }
      const { position, fault } = await scanBatches(file, range, (bytes, at) => {
        endOffset = lastOffsetAt(bytes, at) + 1
        return true
      })
      if (fault !== null) {
        const where = `${directory}/${name} position ${position}`
        throw new LogError('LOG_CORRUPT', `Opened the log ${directory}: ${where}: ${fault}`)
      }
      swaps.push({ baseOffset: parsed.offset, endOffset, name })
    } finally {
      await file.close()
    }
  }
  return swaps
}

/** Steps 3 and 4 for what a stop has cut short, before anything else of the log is looked at. @throws As above. */
export async function finishSwaps(files: FileSystem, directory: string): Promise<void> {
  const swaps = await findUnfinishedSwaps(files, directory)
  for (const { baseOffset, endOffset, name } of swaps) {
    const gone = (await files.list(directory)).filter((other) => {
      const parsed = parseOffsetFileName(other)
      if (parsed === null) return false
      const isIndex = parsed.suffix === OFFSET_INDEX_SUFFIX || parsed.suffix === TIME_INDEX_SUFFIX
      if (parsed.offset === baseOffset) return isIndex
      return (
        parsed.offset > baseOffset && parsed.offset < endOffset && (isIndex || parsed.suffix === LOG_SUFFIX)
      )
    })
    for (const other of gone.reverse()) await files.remove(`${directory}/${other}`)
    await files.syncDirectory(directory)
    await files.rename(`${directory}/${name}`, `${directory}/${offsetFileName(baseOffset, LOG_SUFFIX)}`)
    await files.syncDirectory(directory)
  }
}
