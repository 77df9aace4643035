import { describe, expect, it } from 'vitest'
import { loadBrokerConfig } from '../../src/broker/broker-config.ts'
import { Listeners } from '../../src/broker/listeners.ts'
import { silentLogger } from '../../src/env/index.ts'
import type { Connection, ListenOptions, Network } from '../../src/env/index.ts'
import { NetworkError } from '../../src/env/index.ts'
import { FakeConnection } from '../support/fake-connection.ts'

/** A network whose listeners the test plays. */
function fakeNetwork(failing: number | null = null) {
  const opened: { options: ListenOptions; accept: (connection: Connection) => void; isClosed: boolean }[] = []
  const network: Network = {
    listen: (options, accept) => {
      if (opened.length === failing)
        return Promise.reject(new NetworkError('NETWORK_ADDRESS_IN_USE', 'the address is in use'))
      const listening = { options, accept, isClosed: false }
      opened.push(listening)
      return Promise.resolve({
        host: options.host,
        port: options.port === 0 ? 4000 + opened.length : options.port,
        connectionCount: 0,
        close: () => {
          listening.isClosed = true
          return Promise.resolve()
        },
      })
    },
    connect: () => Promise.reject(new Error('not here')),
  }
  return { network, opened }
}

function open(settings: Record<string, string>, failing: number | null = null) {
  const { network, opened } = fakeNetwork(failing)
  const flags = new Map(Object.entries(settings).map(([key, value]) => [key, { value, flag: key }]))
  const listeners = Listeners.open(
    { network, logger: silentLogger },
    {
      config: loadBrokerConfig({ flags }),
      http: () => ({ status: 200, headers: {}, body: '' }),
    },
  )
  return { listeners, opened }
}

describe('Listeners', () => {
  it('know the ports they got, and what clients are told instead', async () => {
    const { listeners } = open({
      listeners: 'a=any://0.0.0.0:0,b=kafka://127.0.0.1:9093,c=http://[::1]:0',
      'advertised.listeners': 'b=kafka://broker.example:443,c=http://pages.example:0',
    })
    expect((await listeners).bound).toEqual([
      { name: 'a', host: '0.0.0.0', port: 4001, advertisedHost: 'localhost', advertisedPort: 4001 },
      { name: 'b', host: '127.0.0.1', port: 9093, advertisedHost: 'broker.example', advertisedPort: 443 },
      { name: 'c', host: '::1', port: 4003, advertisedHost: 'pages.example', advertisedPort: 4003 },
    ])
  })

  it('open all or none, and say which could not be opened', async () => {
    const { listeners, opened } = open({ listeners: 'a=any://h:1,b=any://h:2' }, 1)
    await expect(listeners).rejects.toThrow(/^Cannot listen on b=any:\/\/h:2: the address is in use$/)
    expect(opened.map(({ isClosed }) => isClosed)).toEqual([true])
  })

  it('leave connections that come early unread until the broker serves, and lose nothing of them', async () => {
    const { listeners: opening, opened } = open({ listeners: 'a=any://h:1' })
    const listeners = await opening
    const early = new FakeConnection()
    opened[0]!.accept(early)
    expect(early.isPaused).toBe(true)
    const names: string[] = []
    listeners.serve((exchange, listenerName) => {
      names.push(listenerName)
      exchange.respond([exchange.frame])
    })
    expect(early.isPaused).toBe(false)
    early.onMessage(Uint8Array.of(42))
    expect([names, early.sentNames, listeners.connectionCount]).toEqual([['a'], [42], 1])
  })

  it('close early connections, end those in service once they are answered, and wait for them', async () => {
    const { listeners: opening, opened } = open({ listeners: 'a=any://h:1' })
    const listeners = await opening
    const answers: (() => void)[] = []
    listeners.serve((exchange) => answers.push(() => exchange.respond([exchange.frame])))
    const busy = new FakeConnection()
    opened[0]!.accept(busy)
    busy.onMessage(Uint8Array.of(1))
    let isClosed = false
    const closing = listeners.close().then(() => (isClosed = true))
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
    expect([isClosed, busy.isClosed, opened[0]!.isClosed]).toEqual([false, false, true])
    answers[0]!()
    await closing
    expect([busy.sentNames, busy.isClosed]).toEqual([[1], true])
  })

  it('close what came before they served', async () => {
    const { listeners: opening, opened } = open({ listeners: 'a=any://h:1' })
    const listeners = await opening
    const early = new FakeConnection()
    opened[0]!.accept(early)
    await listeners.close()
    expect(early.isClosed).toBe(true)
  })

  it('forget an early connection that went before they served, and do not wait for it', async () => {
    const { listeners: opening, opened } = open({ listeners: 'a=any://h:1' })
    const listeners = await opening
    const early = new FakeConnection()
    opened[0]!.accept(early)
    early.onClose('reset by the peer')
    listeners.serve(() => undefined)
    expect(listeners.connectionCount).toBe(0)
    await listeners.close()
  })

  it('take nothing that comes while they close', async () => {
    const { listeners: opening, opened } = open({ listeners: 'a=any://h:1' })
    const listeners = await opening
    listeners.serve(() => undefined)
    const closing = listeners.close()
    const late = new FakeConnection()
    opened[0]!.accept(late)
    await closing
    expect([late.isClosed, listeners.connectionCount]).toEqual([true, 0])
  })

  it('cut those that do not go', async () => {
    const { listeners: opening, opened } = open({ listeners: 'a=any://h:1' })
    const listeners = await opening
    listeners.serve(() => undefined)
    const stuck = new FakeConnection()
    opened[0]!.accept(stuck)
    stuck.onMessage(Uint8Array.of(1))
    const closing = listeners.close()
    listeners.cut('too late')
    await closing
    expect(stuck.isClosed).toBe(true)
  })
})
