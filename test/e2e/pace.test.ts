/** The open loop's clock, as the benchmark runs it: built, with a thread of its own. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type * as Pacing from '../../bench/pace.ts'

const { pace } = (await import(join(import.meta.dirname, '../../dist/bench/pace.js'))) as typeof Pacing

const COUNT = 200

it('calls everything in order, nothing before it is due, and leaves the processor alone meanwhile', async () => {
  const startMs = performance.now() + 100
  const dueMs = (index: number): number => startMs + index * 2
  const called: number[] = []
  const early: number[] = []
  const before = process.cpuUsage()
  await pace(COUNT, dueMs, (index) => {
    called.push(index)
    if (performance.now() < dueMs(index)) early.push(index)
  })
  const elapsedMs = performance.now() - dueMs(0) + 100
  const { user, system } = process.cpuUsage(before)
  expect(called).toEqual(Array.from({ length: COUNT }, (_, index) => index))
  expect(early).toEqual([])
  expect(elapsedMs).toBeGreaterThanOrEqual((COUNT - 1) * 2)
  expect((user + system) / 1e3, 'a loop that turns takes all of it').toBeLessThan(0.8 * elapsedMs)
})

it('makes up for calls that are due already', async () => {
  const called: number[] = []
  await pace(5, () => 0, (index) => called.push(index)) // prettier-ignore
  expect(called).toEqual([0, 1, 2, 3, 4])
})
