/** Random lives of a cluster: commands, crashes with loss, silence, moves, changes of controllers. */
import { expect, it } from 'vitest'
import { seedFromEnv } from '../support/seed.ts'
import { RandomCluster } from './random-cluster.ts'

const seed = seedFromEnv('controller random')
const RUNS = 12
const STEPS = 1500

it.each([false, true])(
  'R2, R15, M6, M9 hold through everything (unclean elections allowed: %s)',
  async (allowsUnclean) => {
    const sums = new Map<string, number>()
    for (let run = 0; run < RUNS; run++) {
      const cluster = await RandomCluster.start(seed + run, allowsUnclean)
      const history: string[] = []
      for (let step = 0; step < STEPS; step++) {
        try {
          history.push(await cluster.step())
        } catch (error) {
          throw new Error(`Seed ${seed + run}, step ${step}:\n${history.slice(-30).join('\n')}`, {
            cause: error,
          })
        }
      }
      cluster.checkSnapshot()
      for (const [name, count] of Object.entries(cluster.marks)) sums.set(name, (sums.get(name) ?? 0) + count)
    }
    console.log(Object.fromEntries(sums))
    // What never came about was not tested.
    for (const [name, count] of sums)
      if (name !== 'unclean' || allowsUnclean) expect(count, name).toBeGreaterThan(10)
  },
  30_000,
)
