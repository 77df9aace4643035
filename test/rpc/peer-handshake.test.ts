/** The handshake without a network: what each end does for each thing the other may say. */
import { describe, expect, test } from 'vitest'
import { AcceptorHandshake, DiallerHandshake } from '../../src/rpc/peer-handshake.ts'
import type { HandshakeContext, HandshakeStep, PeerSelf } from '../../src/rpc/peer-handshake.ts'
import { decodePeerMessage, encodePeerMessage } from '../../src/rpc/peer-messages.ts'
import type { PeerMessage } from '../../src/rpc/peer-messages.ts'
import { proofKey } from '../../src/rpc/peer-proof.ts'

const id = (text: string): string => text.padEnd(21, 'x') + 'A'
const self = (nodeId: number, changes: Partial<PeerSelf> = {}): PeerSelf => ({
  clusterId: 'cluster',
  nodeId,
  directoryId: id(`disk${nodeId}`),
  incarnationId: id(`life${nodeId}`),
  key: proofKey('the secret of all'),
  ...changes,
})
let nonces = 0
const context = (changes: Partial<HandshakeContext> = {}): HandshakeContext => ({
  isLoopback: false,
  nonce: id(`nonce${++nonces}`),
  admits: () => null,
  ...changes,
})

/** Carries frames between the ends until one is through or refuses. @returns The last step of each. */
function shake(
  dialler: DiallerHandshake,
  acceptor: AcceptorHandshake,
  tamper: (message: PeerMessage) => PeerMessage = (message) => message,
): { dialler: HandshakeStep; acceptor: HandshakeStep | null } {
  let atDialler = dialler.start()
  let atAcceptor: HandshakeStep | null = null
  const pass = (frame: Uint8Array): Uint8Array => encodePeerMessage(tamper(decodePeerMessage(frame)))
  for (;;) {
    if (atDialler.kind !== 'say') return { dialler: atDialler, acceptor: atAcceptor }
    atAcceptor = acceptor.receive(pass(atDialler.frame))
    const answer = atAcceptor.kind === 'say' || atAcceptor.kind === 'done' ? atAcceptor.frame : null
    if (answer === null) return { dialler: atDialler, acceptor: atAcceptor }
    atDialler = dialler.receive(pass(answer))
  }
}

const refusalOf = (step: HandshakeStep | null): string | null =>
  step?.kind === 'refuse' || step?.kind === 'refused' ? step.refusal.code : null

describe('a handshake', () => {
  test('ends with each knowing the other and what for', () => {
    const steps = shake(
      new DiallerHandshake(self(1), context(), 2, 'replica'),
      new AcceptorHandshake(self(2), context()),
    )
    const known = (nodeId: number) => ({
      nodeId,
      directoryId: id(`disk${nodeId}`),
      incarnationId: id(`life${nodeId}`),
    })
    expect(steps.dialler).toMatchObject({ kind: 'done', purpose: 'replica', peer: known(2), frame: null })
    expect(steps.acceptor).toMatchObject({ kind: 'done', purpose: 'replica', peer: known(1) })
  })

  test('needs no secret over loopback, and no loopback with a secret', () => {
    for (const [key, isLoopback] of [
      [null, true],
      [proofKey('the secret of all'), false],
    ] as const) {
      const steps = shake(
        new DiallerHandshake(self(1, { key }), context({ isLoopback }), 2, 'raft'),
        new AcceptorHandshake(self(2, { key }), context({ isLoopback })),
      )
      expect(steps.dialler.kind).toBe('done')
    }
  })

  const cases: readonly {
    claim: string
    dialler?: Partial<PeerSelf>
    acceptor?: Partial<PeerSelf>
    atDialler?: Partial<HandshakeContext>
    atAcceptor?: Partial<HandshakeContext>
    tamper?: (message: PeerMessage) => PeerMessage
    by: 'dialler' | 'acceptor'
    code: string
  }[] = [
    {
      claim: 'another cluster',
      ...{ dialler: { clusterId: 'other' }, by: 'acceptor', code: 'PEER_WRONG_CLUSTER' },
    },
    {
      claim: 'another cluster, of an acceptor that does not mind',
      tamper: (message) => (message.kind === 'PeerChallenge' ? { ...message, clusterId: 'other' } : message),
      ...{ by: 'dialler', code: 'PEER_WRONG_CLUSTER' },
    },
    {
      claim: 'an address that leads to another node',
      ...{ acceptor: { nodeId: 3 }, by: 'acceptor', code: 'PEER_WRONG_NODE' },
    },
    {
      claim: 'an acceptor that is another node and does not mind',
      tamper: (message) => (message.kind === 'PeerChallenge' ? { ...message, nodeId: 3 } : message),
      ...{ by: 'dialler', code: 'PEER_WRONG_NODE' },
    },
    {
      claim: 'versions that only the dialler knows',
      tamper: (message) =>
        message.kind === 'PeerHello' ? { ...message, versionMin: 8, versionMax: 9 } : message,
      ...{ by: 'acceptor', code: 'PEER_WRONG_VERSION' },
    },
    {
      claim: 'versions from before this node’s',
      tamper: (message) =>
        message.kind === 'PeerHello' ? { ...message, versionMin: 0, versionMax: 0 } : message,
      ...{ by: 'acceptor', code: 'PEER_WRONG_VERSION' },
    },
    {
      claim: 'a version that was not offered',
      tamper: (message) => (message.kind === 'PeerChallenge' ? { ...message, version: 2 } : message),
      ...{ by: 'dialler', code: 'PEER_WRONG_VERSION' },
    },
    {
      claim: 'a purpose that is not known',
      tamper: (message) => (message.kind === 'PeerHello' ? { ...message, purpose: 99 } : message),
      ...{ by: 'acceptor', code: 'PEER_UNKNOWN_PURPOSE' },
    },
    {
      claim: 'another secret at the dialler',
      dialler: { key: proofKey('the secret of none') },
      ...{ by: 'acceptor', code: 'PEER_WRONG_PROOF' },
    },
    {
      claim: 'no secret at the dialler',
      ...{ dialler: { key: null }, atDialler: { isLoopback: true }, atAcceptor: { isLoopback: true } },
      ...{ by: 'acceptor', code: 'PEER_WRONG_PROOF' },
    },
    {
      claim: 'no secret at the acceptor',
      ...{ acceptor: { key: null }, atDialler: { isLoopback: true }, atAcceptor: { isLoopback: true } },
      ...{ by: 'acceptor', code: 'PEER_WRONG_PROOF' },
    },
    {
      claim: 'an acceptor that welcomes without knowing the secret',
      tamper: (message) =>
        message.kind === 'PeerWelcome' ? { ...message, proof: new Uint8Array(32) } : message,
      ...{ by: 'dialler', code: 'PEER_WRONG_PROOF' },
    },
    {
      claim: 'two machines without a secret, as the dialler sees it',
      ...{ dialler: { key: null }, acceptor: { key: null }, by: 'dialler', code: 'PEER_SECRET_NEEDED' },
    },
    {
      claim: 'two machines without a secret, as the acceptor sees it',
      ...{ dialler: { key: null }, acceptor: { key: null }, atDialler: { isLoopback: true } },
      ...{ by: 'acceptor', code: 'PEER_SECRET_NEEDED' },
    },
    {
      claim: 'a dialler with the acceptor’s own id',
      ...{ dialler: { nodeId: 2 }, by: 'acceptor', code: 'PEER_DUPLICATE_NODE' },
    },
    {
      claim: 'an id that another disk has, as the acceptor sees it',
      ...{ atAcceptor: { admits: () => 'taken' }, by: 'acceptor', code: 'PEER_DUPLICATE_NODE' },
    },
    {
      claim: 'an id that another disk has, as the dialler sees it',
      ...{ atDialler: { admits: () => 'taken' }, by: 'dialler', code: 'PEER_DUPLICATE_NODE' },
    },
    {
      claim: 'a node id below zero',
      ...{ dialler: { nodeId: -1 }, by: 'acceptor', code: 'PEER_BROKEN_HANDSHAKE' },
    },
  ]
  test.each(cases)('X4: refuses $claim', ({ dialler, acceptor, atDialler, atAcceptor, tamper, by, code }) => {
    const steps = shake(
      new DiallerHandshake(self(1, dialler), context(atDialler), 2, 'control'),
      new AcceptorHandshake(self(2, acceptor), context(atAcceptor)),
      tamper,
    )
    expect(refusalOf(steps[by])).toBe(code)
    expect(steps[by === 'dialler' ? 'acceptor' : 'dialler']?.kind ?? 'say').not.toBe('refuse')
  })

  test('X12: any change on the way of what was said is found by the proofs', () => {
    const changes: ((message: PeerMessage) => PeerMessage)[] = [
      (message) => (message.kind === 'PeerHello' ? { ...message, purpose: 3 } : message),
      (message) => (message.kind === 'PeerHello' ? { ...message, fromNodeId: 7 } : message),
      (message) => (message.kind === 'PeerHello' ? { ...message, fromDirectoryId: id('z') } : message),
      (message) => (message.kind === 'PeerHello' ? { ...message, fromIncarnationId: id('z') } : message),
      (message) => (message.kind === 'PeerHello' ? { ...message, nonce: id('z') } : message),
      (message) => (message.kind === 'PeerChallenge' ? { ...message, directoryId: id('z') } : message),
      (message) => (message.kind === 'PeerChallenge' ? { ...message, incarnationId: id('z') } : message),
      (message) => (message.kind === 'PeerChallenge' ? { ...message, nonce: id('z') } : message),
    ]
    for (const tamper of changes) {
      const steps = shake(
        new DiallerHandshake(self(1), context(), 2, 'raft'),
        new AcceptorHandshake(self(2), context()),
        tamper,
      )
      expect(refusalOf(steps.acceptor)).toBe('PEER_WRONG_PROOF')
    }
  })

  test('X12: what was heard of one handshake is worth nothing in another', () => {
    const heard: Uint8Array[] = []
    const record = (message: PeerMessage): PeerMessage => {
      heard.push(encodePeerMessage(message))
      return message
    }
    shake(
      new DiallerHandshake(self(1), context(), 2, 'raft'),
      new AcceptorHandshake(self(2), context()),
      record,
    )
    const victim = new AcceptorHandshake(self(2), context())
    expect(victim.receive(heard[0]!).kind).toBe('say')
    expect(refusalOf(victim.receive(heard[2]!))).toBe('PEER_WRONG_PROOF')
  })

  test('X12: an acceptor’s proof is not a dialler’s: it cannot be asked for and given back', () => {
    const victim = new AcceptorHandshake(self(2), context())
    const hello = new DiallerHandshake(self(1), context(), 2, 'raft').start()
    if (hello.kind !== 'say') throw new Error('A dialler begins')
    const challenge = victim.receive(hello.frame)
    expect(challenge.kind).toBe('say')
    // It has said all it says without a proof.
    for (const kind of ['PeerProof', 'PeerWelcome'] as const) {
      const step = victim.receive(encodePeerMessage({ kind, proof: new Uint8Array(32) }))
      expect(step.kind).toBe('refuse')
    }
  })

  test('X12: each end takes only what comes next', () => {
    const hello = new DiallerHandshake(self(1), context(), 2, 'raft').start()
    if (hello.kind !== 'say') throw new Error('A dialler begins')
    const proof = encodePeerMessage({ kind: 'PeerProof', proof: new Uint8Array(32) })
    const welcome = encodePeerMessage({ kind: 'PeerWelcome', proof: new Uint8Array(32) })
    const nonsense = Uint8Array.from([0, 18, 0, 3])
    for (const frame of [proof, welcome, nonsense]) {
      expect(refusalOf(new AcceptorHandshake(self(2), context()).receive(frame))).toBe(
        'PEER_BROKEN_HANDSHAKE',
      )
    }
    const greeted = new AcceptorHandshake(self(2), context())
    greeted.receive(hello.frame)
    expect(refusalOf(greeted.receive(hello.frame))).toBe('PEER_BROKEN_HANDSHAKE')
    for (const frame of [proof, welcome, hello.frame, nonsense]) {
      const dialler = new DiallerHandshake(self(1), context(), 2, 'raft')
      dialler.start()
      expect(refusalOf(dialler.receive(frame))).toBe('PEER_BROKEN_HANDSHAKE')
    }
  })
})
