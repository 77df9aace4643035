import { describe, expect, it } from 'vitest'
import { Admission } from '../../src/broker/admission.ts'
import type { AdmissionView } from '../../src/broker/admission.ts'
import { silentLogger } from '../../src/env/index.ts'
import { PeerError } from '../../src/rpc/peer-error.ts'
import { ManualClock } from '../controller/support.ts'

const VOTERS = [1, 2, 3].map((id) => ({ id, directoryId: '' }))
const FOUNDING = 'Waiting for the voters 1, 2, 3: a new cluster begins when all of them are up'

function viewOf(strangers: ReadonlyMap<number, readonly number[]> = new Map()): AdmissionView {
  return {
    quorum: () => ({ isFounding: true, leaderId: null, namedLeaderId: null, strangers, voters: VOTERS }),
    obstacle: () => null,
    isRegistered: () => false,
    signal: undefined,
  }
}

const unreachable = new PeerError('PEER_UNREACHABLE', 'Connected to ws://b2:9092: nothing listens there')

function admissionOfNode1(): Admission {
  const ports = { clock: new ManualClock(), logger: silentLogger }
  return new Admission(ports, { nodeId: 1, voterIds: [1, 2, 3], addressOf: () => null })
}

describe('what a node says that it waits for', () => {
  it('is who is out of reach, until there is a connection', () => {
    const admission = admissionOfNode1()

    admission.onAttempt(2, unreachable)
    expect(admission.obstacles(viewOf())).toEqual([
      FOUNDING,
      'node 2: no connection to ws://b2:9092: nothing listens there',
    ])

    admission.onAttempt(2, null)
    expect(admission.obstacles(viewOf())).toEqual([FOUNDING])
  })

  it('is who goes by other voters, though it is out of reach by now', () => {
    const admission = admissionOfNode1()
    admission.onAttempt(2, unreachable)

    expect(admission.obstacles(viewOf(new Map([[2, [2, 3]]])))).toEqual([
      FOUNDING,
      'node 2 goes by the voters 2, 3 and this node by 1, 2, 3: give both the same controller.quorum.voters',
    ])
  })
})
