/** kafkajs over TCP, and over WebSocket by our socket factory. */
import { webSocketSocketFactory } from '../../src/kafkajs.ts'
import { KafkajsDriver } from './drivers/kafkajs.ts'
import { testClient } from './support/capabilities.ts'
import type { CompatClient } from './support/capabilities.ts'

const cannot: CompatClient['cannot'] = { assignment: 'its consumers always join a group' }

testClient({ name: 'kafkajs', missing: null, cannot, open: (settings) => new KafkajsDriver(settings) })
testClient({
  name: 'kafkajs over WebSocket',
  missing: null,
  cannot,
  open: (settings) => new KafkajsDriver(settings, webSocketSocketFactory()),
})
