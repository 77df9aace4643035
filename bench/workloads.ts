/** All workloads, in the order in which they run. */
import { limits } from './limits/limits.ts'
import type { Workload } from './workload.ts'
import { consumeCold, consumeTail } from './workloads/consume.ts'
import { endToEnd } from './workloads/end-to-end.ts'
import { memory } from './workloads/memory.ts'
import { open } from './workloads/open.ts'
import { produce } from './workloads/produce.ts'
import { requests } from './workloads/requests.ts'
import { startup } from './workloads/startup.ts'

export const workloads: readonly Workload[] = [
  limits,
  produce,
  requests,
  consumeTail,
  consumeCold,
  endToEnd,
  startup,
  memory,
  open,
]
