/** @platformatic/kafka, in groups of both protocols. */
import * as zlib from 'node:zlib'
import { PlatformaticDriver } from './drivers/platformatic.ts'
import { testClient } from './support/capabilities.ts'
import type { CompatClient } from './support/capabilities.ts'

const cannot: CompatClient['cannot'] = {
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
