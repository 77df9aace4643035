/** @platformatic/kafka, in groups of both protocols. */
import * as zlib from 'node:zlib'
import { PlatformaticDriver } from './drivers/platformatic.ts'
import { testClient } from './support/capabilities.ts'
import type { CompatClient } from './support/capabilities.ts'

const cannot: CompatClient['cannot'] = {
  // 1.35.0 looks the coordinator of its group up among the brokers of the metadata and uses what it finds unchecked
  // (dist/clients/consumer/consumer.js, #performGroupOperation): once that broker is gone, the process ends.
  'fail-over':
    "it throws an uncaught TypeError, 'host' of undefined, when the broker that coordinates its group has left the metadata",
  assignment: 'its consumers always join a group',
  ...('zstdCompressSync' in zlib ? {} : { 'produce: zstd': 'its zstd needs Node 22.15 or later' }),
}

for (const protocol of ['classic', 'consumer'] as const) {
  testClient({
    name: `@platformatic/kafka, groupProtocol=${protocol}`,
    missing: null,
    cannot,
    protocol,
    open: (settings) => new PlatformaticDriver(settings),
  })
}
