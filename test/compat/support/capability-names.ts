/** Columns of the table, by the name of their test. */
import { CODECS } from './driver.ts'

export const CAPABILITIES = [
  'connect',
  'admin',
  ...CODECS.map((codec) => `produce: ${codec}` as const),
  'idempotence',
  'assignment',
  'group and rebalance',
  'commit and resume',
  'seek by time',
  'fail-over',
] as const

export type Capability = (typeof CAPABILITIES)[number]
