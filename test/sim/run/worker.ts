/** A process that runs one life after the other, as its parent asks for them (pool.ts). */
import type { LifeTask } from './lives.ts'
import { liveHere } from './one-life.ts'

process.on('message', (task: LifeTask) => {
  void liveHere(task).then((summary) => process.send!(summary))
})
// Ctrl-C reaches every process of a terminal; the parent still has a report to print, and ends us by hanging up.
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit())
