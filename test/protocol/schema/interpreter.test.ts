/** The second form steps in by itself where the host forbids compiling strings. That it agrees is tested in messages.test.ts. */
import { afterEach, expect, test, vi } from 'vitest'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

test('under a policy that forbids compiling strings, messages are still encoded and decoded', async () => {
  vi.resetModules()
  vi.stubGlobal('Function', function forbidden() {
    throw new EvalError('Refused by policy')
  })
  const { canCompile } = await import('../../../src/protocol/schema/engine.ts')
  const { decodeRequest, encodeRequest } = await import('../../../src/protocol/frame.ts')

  const pieces = encodeRequest('Metadata', 12, 5, 'page', { topics: [{ name: 'orders' }] })
  const request = decodeRequest(pieces[0]!)

  expect(canCompile).toBe(false)
  expect(request).toMatchObject({ kind: 'served', name: 'Metadata', body: { topics: [{ name: 'orders' }] } })
})
