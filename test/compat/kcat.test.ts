/** kcat of Debian: librdkafka in C, as people use it in a shell. */
import { kcat } from '../support/programs.ts'
import { KcatDriver } from './drivers/kcat.ts'
import { testClient } from './support/capabilities.ts'

testClient({
  name: 'kcat',
  missing: kcat().missing,
  cannot: { admin: 'it has no command for topics' },
  open: (settings) => new KcatDriver(settings),
})
