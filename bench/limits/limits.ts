/**
 * What this machine can do at all: the disk, the loopback, the checksum, and bare replication, without Millrace. Run it beside every
 * other workload, since a broker's figure means little without the ceiling under which it was measured.
 */
import type { Workload } from '../workload.ts'
import { checksumCases } from './checksum.ts'
import { diskCases } from './disk.ts'
import { skeletonCases } from './skeleton.ts'
import { wireCases } from './wire.ts'

export const limits: Workload = {
  name: 'limits',
  summary: 'what this machine can do without Millrace: disk, loopback, checksum, replication',
  open: async (context) => [
    ...(await wireCases(context)),
    ...diskCases(context),
    ...(await checksumCases(context)),
    ...(await skeletonCases(context, 'throughput')),
    ...(await skeletonCases(context, 'latency')),
  ],
}
