/** A sync that ends after the log was cut, and what it may say then (docs/faults.md RP-18, D8). */
import { expect, it } from 'vitest'
import { USUAL_LATENCY } from '../../src/env/sim/sim-disk.ts'
import { batchSizeAt, leaderEpochAt } from '../../src/records/batch-header.ts'
import { append, openLog, readAll, simulate } from './support.ts'

const SYNC_MS = 2

/** Cuts from 10 to 5 while a sync of all 10 is under way, appends five others, and loses power after `lifeMs`. */
async function live(lifeMs: number): Promise<{ claimed: number; epochs: number[] }> {
  const { simulation, env } = simulate(`late sync ${lifeMs}`)
  const node = simulation.node('a')
  node.disk.latency = { ...USUAL_LATENCY, sync: [SYNC_MS, SYNC_MS] }
  const log = await simulation.runUntil(openLog(env, { durability: 'disk' }))
  for (let count = 0; count < 10; count++) append(log, { tag: 1 }, 1)
  await simulation.run(simulation.nowMs + SYNC_MS / 4)
  expect(log.durableEndOffset, 'the sync is under way').toBe(0)
  let most = 0
  simulation.checks.push(() => {
    if (node.isUp) most = Math.max(most, log.latestEpoch === 2 ? log.durableEndOffset : 0)
  })
  const writing = log.truncateTo(5).then(() => {
    expect(log.durableEndOffset).toBeLessThanOrEqual(5)
    for (let count = 0; count < 5; count++) append(log, { tag: 2 }, 2)
    expect(log.durableEndOffset).toBeLessThanOrEqual(5)
  })
  let failure: unknown = null
  writing.catch((error: unknown) => (failure = error))
  await simulation.run(simulation.nowMs + lifeMs)
  if (failure !== null) throw failure as Error
  const claimed = most
  node.powerCut()
  node.restart()
  const again = await simulation.runUntil(openLog(node.env, { durability: 'disk' }))
  const bytes = await simulation.runUntil(readAll(again))
  const epochs: number[] = []
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) epochs.push(leaderEpochAt(bytes, at))
  return { claimed, epochs }
}

it('RP-18 D8: a sync that was under way when the log was cut vouches for nothing that was appended after', async () => {
  const claims = new Set<number>()
  for (let step = 0; step < 60; step++) {
    const { claimed, epochs } = await live(step / 2)
    claims.add(claimed)
    expect(epochs.length, `step ${step}: what was called durable is there`).toBeGreaterThanOrEqual(claimed)
    // Of the second life if anything of it was vouched for.
    if (claimed > 5) expect(epochs.slice(5, claimed), `step ${step}`).toEqual(Array(claimed - 5).fill(2))
  }
  expect(
    [...claims].sort((a, b) => a - b),
    'before, between and after the syncs',
  ).toEqual([0, 5, 10])
})
