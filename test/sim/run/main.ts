/** `npm run sim`: lives of simulated clusters, many or one (docs/simulation.md). */
import { fileURLToPath } from 'node:url'
import type { SwarmOrder } from './options.ts'
import { parseOrder } from './options.ts'
import { LifePool } from './pool.ts'
import { Progress } from './progress.ts'
import { replay } from './replay.ts'
import { describeResult, isWell } from './result.ts'
import { runSwarm } from './swarm.ts'

const PLANTED = '--planted'
const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const

process.exitCode = await main(process.argv.slice(2))

async function main(words: readonly string[]): Promise<number> {
  // Its options are its own; nothing of it is loaded by those who look for bugs that nobody planted.
  if (words.includes(PLANTED)) {
    const { runPlanted } = await import('../planted/run.ts')
    return runPlanted(words.filter((word) => word !== PLANTED))
  }
  const order = parseOrder(words)
  switch (order.kind) {
    case 'tell':
      console[order.isError ? 'error' : 'log'](order.text)
      return order.isError ? EXIT.usage : EXIT.ok
    case 'replay':
      return (await replay(order, (line) => console.log(line))) ? EXIT.ok : EXIT.failed
    case 'swarm':
      return swarm(order)
  }
}

async function swarm(order: SwarmOrder): Promise<number> {
  const workerPath = fileURLToPath(new URL('./worker.js', import.meta.url))
  const pool = new LifePool({ jobs: order.jobs, workerPath })
  const { stderr } = process
  const progress = new Progress({
    write: (text) => void stderr.write(text),
    isTty: stderr.isTTY,
    columns: stderr.columns,
    now: () => performance.now(),
  })
  const interrupted = new AbortController()
  process.on('SIGINT', () => {
    interrupted.abort()
    pool.close()
  })
  const result = await runSwarm(order, {
    live: pool.run,
    now: () => performance.now(),
    signal: interrupted.signal,
    onLife: (tally) => progress.update(tally, order.seeds),
    onFailure: (text) => {
      progress.clear()
      console.log(`${text}\n`)
    },
  })
  progress.clear()
  pool.close()
  console.log(describeResult(order, result))
  if (result.endedBy === 'interrupt') return EXIT.interrupted
  return isWell(result) ? EXIT.ok : EXIT.failed
}
