/** Starts a load generator in a process of its own, ended with the run and profiled if the run is. */
import { profileFlags } from '../profile/profile.ts'
import type { TaskName } from '../tasks.ts'
import { Worker } from '../worker.ts'
import type { WorkloadContext } from '../workload.ts'

export async function startLoad(
  context: WorkloadContext,
  task: TaskName,
  parameters: unknown,
): Promise<Worker> {
  const nodeFlags = profileFlags(context.profileDirectory, task)
  const worker = await Worker.start(task, parameters, { nodeFlags })
  context.onClose(() => worker.stop())
  return worker
}
