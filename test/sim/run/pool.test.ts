/** Processes of a run: what is lost with one of them, and when a fresh one takes its place. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import type { LifeSummary } from './lives.ts'
import { temporaryDirectory } from '../../support/temp-directory.ts'
import { LifePool } from './pool.ts'
import type { PoolOptions } from './pool.ts'

/** Stands for the process that runs lives: by its seed a life goes well, its process dies, or it never ends. */
const SOURCE = `
let lives = 0
process.on('message', ({ seed }) => {
  if (seed === 13) process.exit(7)
  if (seed === 14) process.kill(process.pid, 'SIGKILL')
  if (seed !== 15) process.send({ seed, failure: null, pid: process.pid, lives: ++lives })
})
process.on('disconnect', () => process.exit())`
const WORKER = join(temporaryDirectory('pool'), 'worker.mjs')
writeFileSync(WORKER, SOURCE)

type Answer = LifeSummary & { readonly pid: number; readonly lives: number }

const pools: LifePool[] = []
afterEach(() => {
  for (const pool of pools.splice(0)) pool.close()
})

function start(options: Partial<PoolOptions> = {}) {
  const pool = new LifePool({ jobs: 2, workerPath: WORKER, ...options })
  pools.push(pool)
  return { pool, live: (seed: number) => pool.run({ seed }) as Promise<Answer> }
}

describe('LifePool', () => {
  it('runs each life in one of so many processes', async () => {
    const { live } = start()
    const answers = await Promise.all([1, 2, 3, 4, 5, 6].map(live))
    expect(answers.map(({ seed }) => seed)).toEqual([1, 2, 3, 4, 5, 6])
    expect(new Set(answers.map(({ pid }) => pid)).size).toBe(2)
  })

  it('takes a fresh process after so many lives', async () => {
    const { live } = start({ jobs: 1, livesPerProcess: 2 })
    const answers = await Promise.all([1, 2, 3, 4, 5].map(live))
    expect(answers.map(({ lives }) => lives)).toEqual([1, 2, 1, 2, 1])
    expect(new Set(answers.map(({ pid }) => pid)).size).toBe(3)
  })

  it.each([
    [13, 'S4: the process of the life ended with code 7'],
    [14, 'S4: the process of the life ended with SIGKILL'],
  ])('calls a life failed whose process dies, and goes on: %i', async (seed, failure) => {
    const { live } = start({ jobs: 1 })
    const [first, lost, next] = await Promise.all([live(1), live(seed), live(2)])
    expect(first.failure).toBeNull()
    expect(lost).toMatchObject({ seed, failure })
    expect(next).toMatchObject({ seed: 2, failure: null, lives: 1 })
  })

  it('calls a life failed that does not end, and goes on', async () => {
    const { live } = start({ jobs: 1, lifeMsMax: 1000 })
    const [lost, next] = await Promise.all([live(15), live(2)])
    expect(lost.failure).toBe('S5: the life has not ended within 1 s of real time')
    expect(next.failure).toBeNull()
  })

  it('answers for every life when it is closed', async () => {
    const { pool, live } = start({ jobs: 1 })
    const answers = [live(15), live(1)]
    pool.close()
    for (const { failure } of await Promise.all([...answers, live(2)]))
      expect(failure).toBe('The run has ended')
  })
})
