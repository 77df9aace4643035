/** All workloads, in the order in which they run. */
import { limits } from './limits/limits.ts'
import type { Workload } from './workload.ts'

export const workloads: readonly Workload[] = [limits]
