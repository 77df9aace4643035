/**
 * A stop before every disk operation of a pass of compaction, and of the recovery that finishes a swap: what comes back is the
 * old segments or the new ones (docs/faults.md ST-12, ST-17, D2, D7).
 */
import { describe, expect, it } from 'vitest'
import type { PowerCutModes } from '../../src/env/sim/disk-image.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { LogManager } from '../../src/log/log-manager.ts'
import { seedFromEnv } from '../support/seed.ts'
import { crashWhile, HOME, Life } from './compaction-life.ts'

const SEED = seedFromEnv('compaction crash points')

describe('A log whose compaction is cut short', () => {
  const CUTS: Record<string, PowerCutModes | null> = {
    'kill -9': null,
    'a power cut that loses what was not synced': { data: 'lost', names: 'lost' },
    'a power cut that keeps bytes and some names': { data: 'kept', names: 'subset' },
    'a power cut that keeps names and no bytes': { data: 'zero-tail', names: 'kept' },
    'a power cut of any kind': {},
  }
  for (const [name, modes] of Object.entries(CUTS)) {
    it(`ST-12 D2 D7: leaves the old segments or the new ones after ${name} before any of its operations`, async () => {
      let operation = 0
      for (; ; operation++) {
        const life = await grown(`${SEED} ${name} ${operation}`)
        life.model.judgedEndOffset = life.log.logEndOffset
        if (!(await crashWhile(life, () => life.manager.compact(), operation, modes))) break
        await life.run(async () => {
          await life.manager.compact()
          await life.check()
          await life.manager.close()
          await life.open()
        })
      }
      expect(operation).toBeGreaterThan(40)
    })
  }

  it('ST-12: survives a power cut before each operation of the recovery that finishes a swap', async () => {
    for (let operation = 12; ; operation += 3) {
      const life = await grown(`${SEED} recovery ${operation}`)
      life.model.judgedEndOffset = life.log.logEndOffset
      const { node } = life
      const first = node.disk.operationCount
      node.disk.onOperation = (number) => {
        if (number - first === operation) node.powerCut()
      }
      const state = { isDone: false }
      void life.manager.compact().then(() => (state.isDone = true))
      await life.simulation.runUntil(() => state.isDone || !node.isUp)
      if (state.isDone) break
      for (let step = 1; !state.isDone; step++) {
        node.restart()
        const begin = node.disk.operationCount
        node.disk.onOperation = (number) => {
          if (number - begin === step) node.powerCut()
        }
        const opened: LogManager[] = []
        const { env } = node
        const options = { directory: HOME, nodeId: 1, memoryFiles: env.files, configFor: () => life.config }
        void LogManager.open(env, options).then((manager) => opened.push(manager))
        await life.simulation.runUntil(() => opened.length > 0 || !node.isUp)
        state.isDone = opened.length > 0
      }
      node.disk.onOperation = () => undefined
      if (node.isUp) node.powerCut()
      node.restart()
      await life.run(() => life.open())
    }
  })
})

/** A log of several segments, part clean, part dirty, with tombstones whose time is over. */
async function grown(seed: string): Promise<Life> {
  const life = new Life(seed)
  const draw = new Simulation({ seed: `${SEED} grown` }).stream('life')
  await life.run(async () => {
    await life.open()
    for (let round = 0; round < 2; round++) {
      for (let count = 0; count < 12; count++) life.append(draw, 8)
      life.log.startEpoch(life.log.latestEpoch + 1, life.log.logEndOffset)
      await life.settle()
      life.highWatermark = life.log.logEndOffset
      if (round === 0) await life.manager.compact()
      await life.sleep(600)
    }
    await life.manager.checkpoint()
    // So that a pass makes one segment of several, and there are old ones to remove.
    life.log.updateConfig({ ...life.config, segmentBytes: 2_500 })
  })
  return life
}
