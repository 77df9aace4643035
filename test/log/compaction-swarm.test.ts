/**
 * Compaction under faults: lives drawn from a seed against a model (docs/faults.md ST-12, ST-17, D2, D5, D7, P2, R5, R9, R10).
 * COMPACTION_LIVES says how many.
 */
import { describe, expect, it } from 'vitest'
import type { PowerCutModes } from '../../src/env/sim/disk-image.ts'
import type { Prng } from '../../src/env/sim/prng.ts'
import { Simulation } from '../../src/env/sim/simulation.ts'
import { seedFromEnv } from '../support/seed.ts'
import { crashWhile, HOME, Life } from './compaction-life.ts'

const SEED = seedFromEnv('compaction')
const LIVES = Number(process.env['COMPACTION_LIVES'] ?? 14)
const STEPS = 60

function drawCut(random: Prng): PowerCutModes {
  return [
    {},
    { data: 'lost', names: 'lost' },
    { data: 'kept', names: 'subset' },
    { data: 'zero-tail', names: 'kept' },
  ][random.below(4)] as PowerCutModes
}

async function live(seed: string): Promise<{ passes: number; crashes: number }> {
  const draw = new Simulation({ seed }).stream('life')
  const life = new Life(
    seed,
    { segmentBytes: [300, 600, 1500][draw.below(3)]!, deleteRetentionMs: [0, 200, 2_000][draw.below(3)]! },
    draw.below(3) === 0 ? 4096 : 1 << 20,
  )
  const keyCount = [3, 12, 300][draw.below(3)]!
  let passes = 0
  let crashes = 0
  await life.run(() => life.open())
  for (let step = 0; step < STEPS; step++) {
    const deed = draw.below(12)
    if (deed < 5) for (let count = draw.below(12); count >= 0; count--) life.append(draw, keyCount)
    else if (deed === 5) life.log.startEpoch(life.log.latestEpoch + 1, life.log.logEndOffset)
    else if (deed === 6) await life.run(() => life.sleep(draw.below(1_500)))
    else if (deed === 7) {
      const end = life.log.logEndOffset
      const offset = life.highWatermark + draw.below(end - life.highWatermark + 1)
      await life.run(() => life.log.truncateTo(offset))
      life.model.cutTo(life.log.logEndOffset)
    } else if (deed === 8) {
      await life.run(async () => {
        await life.settle()
        await life.manager.checkpoint()
      })
    } else {
      await life.run(() => life.settle())
      const wanted = life.highWatermark + draw.below(life.log.durableEndOffset - life.highWatermark + 1)
      const reached = life.model.batches.findLast(({ endOffset }) => endOffset <= wanted)
      life.highWatermark = reached?.endOffset ?? 0
      life.model.judgedEndOffset = Math.max(life.model.judgedEndOffset, life.highWatermark)
      if (deed === 9) {
        passes += await life.run(() => life.manager.compact())
        await life.run(() => life.check())
      } else if (deed === 10) {
        crashes++
        await crashWhile(
          life,
          () => life.manager.compact(),
          draw.below(60),
          draw.below(3) === 0 ? null : drawCut(draw),
        )
      } else {
        await life.run(() => life.manager.close())
        if (draw.below(2) === 0) await life.run(() => scramble(life, draw))
        await life.run(() => life.open())
      }
    }
  }
  await life.run(async () => {
    await life.settle()
    await life.check()
    await life.manager.close()
  })
  return { passes, crashes }
}

/** D5: what compaction adds to the caches, and what it relies on of them. */
async function scramble(life: Life, draw: Prng): Promise<void> {
  const { files } = life.env
  const names = (await files.list(`${HOME}/orders-0`)).filter((name) =>
    /\.(index|timeindex|snapshot)$/.test(name),
  )
  const paths = [`${HOME}/cleaner-offset-checkpoint`, ...names.map((name) => `${HOME}/orders-0/${name}`)]
  for (const path of paths) if (draw.below(2) === 0) await files.remove(path)
  if (draw.below(2) === 0) {
    const file = await files.open(`${HOME}/cleaner-offset-checkpoint`, 'append')
    await file.truncate(0)
    await file.append([Buffer.from(`0\n1\norders 0 ${draw.below(2 * life.log.logEndOffset + 1)}\n`)])
    await file.close()
  }
}

describe('Compaction', () => {
  it(`ST-17 R9 P2 D5: in lives drawn from a seed, loses no newest value and brings no deleted key back`, async () => {
    let passes = 0
    let crashes = 0
    for (let index = 0; index < LIVES; index++) {
      const seed = `${SEED} ${index}`
      try {
        const life = await live(seed)
        passes += life.passes
        crashes += life.crashes
      } catch (error) {
        throw new Error(`SEED=${SEED}, life ${index}`, { cause: error })
      }
    }
    expect(passes).toBeGreaterThan(LIVES)
    expect(crashes).toBeGreaterThan(LIVES / 2)
  })
})
