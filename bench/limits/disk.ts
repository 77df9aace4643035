/**
 * Appending to one file: into the page cache, with a sync after each write, and with group commit.
 *
 * Group commit is what a log does for `durability: disk`: write on the main thread, one fdatasync in flight at a time
 * in the thread pool, each covering all that was written before it began, and at most a window of bytes not yet
 * synced. Every run writes a new file: page cache that is new to the machine is the slow part on virtual ones.
 */
import { closeSync, fdatasync, fdatasyncSync, openSync, unlinkSync, writeSync, writevSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Histogram } from '../histogram.ts'
import { NO_CONDITIONS, type Case, type Measurement, type WorkloadContext } from '../workload.ts'
import { patternedBytes } from './pattern.ts'

const datasync = promisify(fdatasync)

/** One write: a gathered one of several pieces, as a log makes it of the batches that wait. */
const WRITE_BYTES = 65_536
const PIECES = 8
/** Most bytes written and not yet synced in group commit. */
const WINDOW_BYTES = 2 ** 24
/** A write small enough that the sync is all that counts. */
const SMALL_WRITE_BYTES = 4096
/** Group commit lets the loop turn after this many writes, so that a finished sync is seen. */
const WRITES_PER_TURN = 4

export function diskCases({ isToy, directory }: WorkloadContext): Case[] {
  const path = join(directory, 'append.log')
  const totalBytes = isToy ? 2 ** 24 : 2 ** 29
  const syncCount = isToy ? 50 : 1000
  /** Runs on a fresh file, which is removed afterwards so that the next run does not inherit its pages. */
  const onFreshFile = async (measure: (file: number) => Measurement | Promise<Measurement>) => {
    const file = openSync(path, 'wx')
    try {
      return await measure(file)
    } finally {
      closeSync(file)
      unlinkSync(path)
    }
  }
  return [
    {
      name: 'append, page cache',
      conditions: { ...NO_CONDITIONS, durability: 'os', recordBytes: WRITE_BYTES },
      run: () => onFreshFile((file) => append(file, totalBytes)),
    },
    {
      name: 'append, group commit',
      conditions: {
        ...NO_CONDITIONS,
        durability: 'disk',
        recordBytes: WRITE_BYTES,
        inFlightBytesMax: WINDOW_BYTES,
      },
      run: () => onFreshFile((file) => groupCommit(file, totalBytes)),
    },
    {
      name: 'append, a sync each',
      conditions: { ...NO_CONDITIONS, durability: 'disk', recordBytes: SMALL_WRITE_BYTES, inFlightMax: 1 },
      run: () => onFreshFile((file) => syncEach(file, syncCount)),
    },
  ]
}

function append(file: number, totalBytes: number): Measurement {
  const pieces = Array.from({ length: PIECES }, () => patternedBytes(WRITE_BYTES / PIECES))
  const startMs = performance.now()
  let written = 0
  while (written < totalBytes) written += writevSync(file, pieces)
  const elapsedMs = performance.now() - startMs
  fdatasyncSync(file)
  const syncedMs = performance.now() - startMs
  return {
    metrics: [
      { name: 'throughput', unit: 'MB/s', value: written / 1e3 / elapsedMs, better: 'higher' },
      { name: 'with one final sync', unit: 'MB/s', value: written / 1e3 / syncedMs, better: 'higher' },
    ],
    work: `${written} bytes`,
  }
}

async function groupCommit(file: number, totalBytes: number): Promise<Measurement> {
  const block = patternedBytes(WRITE_BYTES)
  const latency = new Histogram()
  let written = 0
  let synced = 0
  let syncing: Promise<void> | null = null
  const sync = async (): Promise<void> => {
    const target = written
    const startMs = performance.now()
    await datasync(file)
    latency.recordMs(performance.now() - startMs)
    synced = target
    syncing = synced < written ? sync() : null
  }
  const startMs = performance.now()
  while (written < totalBytes) {
    for (let index = 0; index < WRITES_PER_TURN; index++) written += writeSync(file, block)
    syncing ??= sync()
    while (written - synced >= WINDOW_BYTES) await syncing
    await nextTurn()
  }
  while (synced < totalBytes) await syncing
  const elapsedMs = performance.now() - startMs
  return {
    metrics: [
      { name: 'throughput', unit: 'MB/s', value: written / 1e3 / elapsedMs, better: 'higher' },
      { name: 'syncs', unit: '1/s', value: (latency.count * 1e3) / elapsedMs, better: 'higher' },
    ],
    latency,
    work: `${written} bytes`,
  }
}

function syncEach(file: number, count: number): Measurement {
  const block = patternedBytes(SMALL_WRITE_BYTES)
  const latency = new Histogram()
  const beginMs = performance.now()
  for (let index = 0; index < count; index++) {
    const startMs = performance.now()
    writeSync(file, block)
    fdatasyncSync(file)
    latency.recordMs(performance.now() - startMs)
  }
  const elapsedMs = performance.now() - beginMs
  return {
    metrics: [{ name: 'synced writes', unit: '1/s', value: (count * 1e3) / elapsedMs, better: 'higher' }],
    latency,
    work: `${count} writes of ${SMALL_WRITE_BYTES} bytes`,
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
