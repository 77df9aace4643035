/**
 * One run: a cluster, rounds of faults under load, healing, the verdict. Everything that it makes lies in one directory of its
 * own, which is gone afterwards, but for what shows why a run has failed.
 */
import { appendFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Prng } from '../../src/env/sim/prng.ts'
import { LoopDisk } from '../support/loop-disk.ts'
import { setTimeout as pause } from 'node:timers/promises'
import { perform } from './acts.ts'
import { drawRounds } from './plan.ts'
import type { Act, Counts, Means, Round } from './plan.ts'
import { removeScene, Scene, SESSION_MS } from './scene.ts'
import { Tally } from './tally.ts'
import type { Outcome, Verdict } from './tally.ts'
import { Tracer } from './tracer.ts'
import { judge } from './verdict.ts'

export interface RunOptions {
  readonly seed: number
  readonly brokers: number
  readonly counts: Counts
  /** Rounds go on, drawn anew from the seed, until so much time has passed. */
  readonly atLeastMs: number
  /** Between two calls of one line of a writer, in ms. */
  readonly pauseMs: number
  /** The command that runs the same again. */
  readonly again: string
  /** Told what goes on. */
  readonly onProgress: (line: string) => void
  /** Ends the run early; nothing is left then. */
  readonly signal: AbortSignal
}

/** An act that finds nothing to harm is tried again, so often in all. */
const TRIES_MAX = 4
/** Acknowledgements that show that the cluster works, where a round waits for some. */
const ACKS_MAX = 400
/** One member of the group makes room for another after every so many rounds. */
const ROUNDS_PER_MEMBER = 4
/** Room on each broker's own disk: at first, and for every minute of load. */
const DISK_BYTES = 192 * 1024 * 1024
const DISK_BYTES_PER_MINUTE = 64 * 1024 * 1024
const MS_PER_MINUTE = 60_000

export async function runChaos(options: RunOptions): Promise<Outcome> {
  const { seed, brokers, onProgress, signal } = options
  const startMs = performance.now()
  const directory = mkdtempSync(join(tmpdir(), 'millrace-chaos-'))
  const kept = join(directory, 'kept')
  const [noTracer, noDisks] = [Tracer.missing, LoopDisk.missing]
  const means: Means = { hasTracer: noTracer === null, hasDisks: noDisks === null }
  const tally = new Tally()
  mkdirSync(kept)
  let scene: Scene | null = null
  let verdict: Verdict
  try {
    const diskBytes = means.hasDisks
      ? DISK_BYTES + (options.atLeastMs / MS_PER_MINUTE) * DISK_BYTES_PER_MINUTE
      : null
    scene = await Scene.open({ directory, seed, brokers, diskBytes, pauseMs: options.pauseMs })
    const running = scene
    const life = new Life(options, means, running, tally, (line) => {
      const at = ((performance.now() - startMs) / 1000).toFixed(1)
      appendFileSync(join(kept, 'acts.log'), `${at} s ${line}\n`)
      onProgress(
        `${at} s: ${line} | ${running.load.history.count('acknowledged')} acknowledged | ${tally.line()}`,
      )
    })
    await Promise.race([life.storm(), aborted(signal)])
    onProgress('healed: reading everything once more')
    verdict = await Promise.race([judge(scene), aborted(signal)])
  } catch (error) {
    verdict = { faults: [{ kind: 'other', message: (error as Error).message }] }
  }
  const isKept = verdict.faults.length > 0 && !signal.aborted
  await scene?.close(isKept ? kept : null)
  if (isKept)
    writeFileSync(
      join(kept, 'faults.log'),
      verdict.faults.map(({ kind, message }) => `${kind}: ${message}\n`).join(''),
    )
  else removeScene(directory)
  return {
    ...{ seed, brokers, tally, verdict, again: options.again },
    tookMs: performance.now() - startMs,
    skipped: [
      ...(noTracer === null ? [] : [`disks that fail: ${noTracer}`]),
      ...(noDisks === null ? [] : [`power cuts and full disks: ${noDisks}`]),
    ],
    acknowledged: scene?.load.history.count('acknowledged') ?? 0,
    handledByGroup: scene?.group.handledCount ?? 0,
    writers: scene?.writers ?? [],
    longestGapMs: scene?.longestGapMs ?? 0,
    keptIn: isKept ? kept : null,
  }
}

/** The time of faults. */
class Life {
  readonly #options: RunOptions
  readonly #means: Means
  readonly #scene: Scene
  readonly #tally: Tally
  readonly #tell: (line: string) => void
  readonly #random: Prng
  #roundCount = 0

  constructor(options: RunOptions, means: Means, scene: Scene, tally: Tally, tell: (line: string) => void) {
    this.#options = options
    this.#means = means
    this.#scene = scene
    this.#tally = tally
    this.#tell = tell
    this.#random = new Prng(String(options.seed), 'chaos rounds')
  }

  async storm(): Promise<void> {
    const { counts, brokers, seed, atLeastMs } = this.#options
    const endMs = performance.now() + atLeastMs
    const scene = this.#scene
    await scene.isWhole()
    await scene.step('first acknowledgements', scene.load.more(ACKS_MAX))
    for (let draw = 0; draw === 0 || performance.now() < endMs; draw++) {
      const rounds = drawRounds({
        seed: seed + draw,
        brokers,
        counts,
        means: this.#means,
        sessionMs: SESSION_MS,
      })
      let missed: Act[] = []
      for (const round of rounds) missed.push(...(await this.#round(round)))
      for (let attempt = 1; missed.length > 0 && attempt < TRIES_MAX; attempt++) {
        const again: Act[] = []
        for (const act of missed)
          again.push(...(await this.#round({ acts: [act], staggerMs: 0, settling: 'in sync' })))
        missed = again
      }
      if (missed.length > 0)
        throw new Error(
          `These acts had no effect, tried ${TRIES_MAX} times: ${missed.map(nameOf).join(', ')}`,
        )
    }
    await scene.isWhole()
    // Progress within a bound, of every partition.
    await scene.step('acknowledgements of every partition', scene.load.everywhere())
  }

  /** @returns The acts that had no effect. */
  async #round({ acts, staggerMs, settling }: Round): Promise<readonly Act[]> {
    const scene = this.#scene
    this.#tell(acts.map(nameOf).join(' + '))
    const performed = await Promise.all(
      acts.map(async (act, index) => {
        await pause(index * staggerMs)
        return perform(scene, this.#tally, act)
      }),
    )
    if (settling === 'acks')
      await scene.step('acknowledgements', scene.load.more(1 + this.#random.below(ACKS_MAX)))
    if (settling === 'in sync') await scene.isWhole()
    if (++this.#roundCount % ROUNDS_PER_MEMBER === 0)
      await scene.step('a change of members', scene.group.replace())
    for (const [index, act] of acts.entries()) if (performed[index]!) this.#tally.addForm(nameOf(act))
    return acts.filter((_, index) => !performed[index]!)
  }
}

function nameOf(act: Act): string {
  switch (act.kind) {
    case 'kill':
      return act.times === 2 ? 'kill twice' : 'kill'
    case 'partition':
      return `cut off (${act.cut})`
    case 'network':
    case 'disk':
      return act.fault
    case 'corruption':
      return `damaged ${act.damage}`
    case 'kill all':
    case 'pause':
    case 'restart':
    case 'power cut':
    case 'power cut of all':
      return act.kind
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const end = (): void => reject(new Error('The run was ended from outside'))
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })
}
