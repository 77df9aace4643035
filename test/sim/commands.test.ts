/**
 * Commands whose answers are lost between the broker that was asked and the controller that carried them out (docs/faults.md R13, M11,
 * MQ-12): their outcome is unknown, and nobody does them again in the client's name.
 */
import { expect, it } from 'vitest'
import { errorByCode } from '../../src/protocol/errors.ts'
import { seedFromEnv } from '../support/seed.ts'
import { SimCluster } from './support/sim-cluster.ts'

const SEED = seedFromEnv('commands')
const ROUNDS = 8

it('R13 M11: a command is carried out once, though its answer is lost on the way between brokers', async () => {
  const cluster = await SimCluster.start({ seed: SEED })
  const random = cluster.simulation.stream('resets')
  const outcomes: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const controller = cluster.controller!
    const [asked, asleep] = cluster.hosts.filter((host) => host !== controller)
    // Not the project's client, which asks the controller itself.
    const client = await cluster.rawClient(asked!, `operator ${round}`)
    const name = `topic-${round}`
    const topic = { name, numPartitions: 1, replicationFactor: -1, assignments: [], configs: [] }
    // Answered when all who live know the topic: one that sleeps lets the answer wait while the change is committed.
    asleep!.node.pause()
    const command = client
      .call('CreateTopics', 7, { topics: [topic], timeoutMs: 5000, validateOnly: false })
      .then(({ topics }) => errorByCode(topics[0]!.errorCode).name)
    await cluster.run(() => cluster.image.topicsByName.has(name))
    await cluster.pass(random.between(0, 100))
    cluster.simulation.network.reset(asked!.name, controller.name)
    cluster.simulation.network.reset(controller.name, asked!.name)
    outcomes.push(await cluster.run(command))
    asleep!.node.resume()
    await cluster.untilWhole()
    expect(cluster.image.topicsByName.has(name)).toBe(true)
    client.close()
  }
  expect(outcomes, 'not known to have been done, and not done twice').not.toContain('TOPIC_ALREADY_EXISTS')
  expect(
    outcomes.filter((outcome) => outcome === 'REQUEST_TIMED_OUT').length,
    'answers were lost',
  ).toBeGreaterThan(ROUNDS / 2)
})
