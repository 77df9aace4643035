/**
 * What a broker registers itself with: who it is, in this life, where clients reach it, and what it can do.
 */
import type { Random } from '../env/index.ts'
import type { LogManager } from '../log/log-manager.ts'
import { FEATURES } from '../metadata/features.ts'
import type { BrokerConfig } from './broker-config.ts'
import type { BoundListener } from './listeners.ts'
import type { MembershipOptions } from './membership.ts'

/** Kafka's number for a listener without TLS and authentication. */
const PLAINTEXT = 0

/** @param random - Gives this life its id. */
export function registrationOf(
  config: Pick<BrokerConfig, 'nodeId' | 'rack'>,
  { clusterId, directoryId }: Pick<LogManager, 'clusterId' | 'directoryId'>,
  listeners: readonly BoundListener[],
  random: Random,
): MembershipOptions['registration'] {
  return {
    ...{ brokerId: config.nodeId, clusterId, incarnationId: random.uuid() },
    listeners: listeners.map(({ name, advertisedHost, advertisedPort }) => ({
      ...{ name, host: advertisedHost, port: advertisedPort, securityProtocol: PLAINTEXT },
    })),
    features: Array.from(FEATURES, ([name, { min, max }]) => ({
      ...{ name, minSupportedVersion: min, maxSupportedVersion: max },
    })),
    ...{ rack: config.rack, isMigratingZkBroker: false, logDirs: [directoryId] },
  }
}
