/**
 * DescribeLogDirs (API key 35): what lies in a broker's log directories, and how large it is (KIP-113).
 *
 * v1 throttles after the answer (KIP-219) · v2 flexible (KIP-482) · v3 error code for the whole answer · v4 total and
 * usable bytes (KIP-827) · v5 cordoned directories (KIP-1066)
 */
import { OWN_TAG_FIRST } from '../schema/check.ts'
import { array, bool, int16, int32, int64, message, string, struct } from '../schema/fields.ts'
import type { Infer, InferInput } from '../schema/fields.ts'

export const DescribeLogDirsRequest = message(
  'DescribeLogDirsRequest',
  { versions: '1-5', flexible: '2+' },
  {
    topics: array(
      struct({
        topic: string(),
        partitions: array(int32()),
      }),
      { nullable: '0+' },
    ), // null: all
    // Ours: whose directories, where an address does not say it; -1: those of the broker that gets the request.
    brokerId: int32({ versions: '2+', tag: OWN_TAG_FIRST, ignorable: true, fallback: -1 }),
  },
)
export type DescribeLogDirsRequest = Infer<typeof DescribeLogDirsRequest>
export type DescribeLogDirsRequestInput = InferInput<typeof DescribeLogDirsRequest>

export const DescribeLogDirsResponse = message(
  'DescribeLogDirsResponse',
  { versions: '1-5', flexible: '2+' },
  {
    throttleTimeMs: int32({ fallback: 0 }),
    errorCode: int16({ versions: '3+', ignorable: true, fallback: 0 }),
    results: array(
      struct({
        errorCode: int16(),
        logDir: string(),
        topics: array(
          struct({
            name: string(),
            partitions: array(
              struct({
                partitionIndex: int32(),
                partitionSize: int64(), // bytes
                offsetLag: int64(), // behind the high watermark, or behind the current log if it is a future one
                isFutureKey: bool(),
              }),
            ),
          }),
        ),
        totalBytes: int64({ versions: '4+', ignorable: true, fallback: -1 }), // -1: unknown
        usableBytes: int64({ versions: '4+', ignorable: true, fallback: -1 }),
        isCordoned: bool({ versions: '5+', ignorable: true, fallback: false }),
      }),
    ),
  },
)
export type DescribeLogDirsResponse = Infer<typeof DescribeLogDirsResponse>
export type DescribeLogDirsResponseInput = InferInput<typeof DescribeLogDirsResponse>
