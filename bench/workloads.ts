/** All workloads, in the order in which they run. */
import { limits } from './limits/limits.ts'
import type { Workload } from './workload.ts'
import { clusterEndToEnd } from './workloads/cluster-end-to-end.ts'
import { clusterIdle, clusterStartup } from './workloads/cluster-life.ts'
import { clusterConsume, clusterProduce, clusterRequests } from './workloads/cluster-throughput.ts'
import { consumeCold, consumeTail } from './workloads/consume.ts'
import { endToEnd } from './workloads/end-to-end.ts'
import { failOver } from './workloads/fail-over.ts'
import { groups } from './workloads/groups.ts'
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
  clusterProduce,
  clusterConsume,
  clusterRequests,
  clusterEndToEnd,
  failOver,
  clusterStartup,
  clusterIdle,
  groups,
]
