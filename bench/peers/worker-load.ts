/** A load generator of this project's worker processes, as a system's client. */
import type { OpenLoopResult } from '../load/open-loop-load.ts'
import { startLoad } from '../load/start-load.ts'
import type { TaskName } from '../tasks.ts'
import type { LoadResult } from '../usage.ts'
import type { PeerContext, PeerLoad } from './system.ts'

export async function connectWorker(
  context: PeerContext,
  task: TaskName,
  parameters: unknown,
): Promise<PeerLoad> {
  const worker = await startLoad(context, task, parameters)
  return {
    prepare: (stream) => worker.call('prepare', stream) as Promise<void>,
    produce: (work) => worker.call('produce', work) as Promise<LoadResult>,
    consume: (work) => worker.call('consume', work) as Promise<LoadResult>,
    openLoop: (work) => worker.call('openLoop', work) as Promise<OpenLoopResult>,
    remove: () => worker.call('remove') as Promise<void>,
    stop: () => worker.stop(),
  }
}
