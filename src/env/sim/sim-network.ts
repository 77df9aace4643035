/**
 * The network of a simulation: which node listens where, and the state of the links.
 */
import type { Network } from '../network.ts'
import { NetworkError } from '../network.ts'
import type { SimProcess } from './sim-node.ts'
import type { Simulation } from './simulation.ts'

export class SimNetwork {
  constructor(_simulation: Simulation) {}
  portFor(_process: SimProcess): Network {
    const refuse = async () => {
      throw new NetworkError('NETWORK_UNREACHABLE', 'No links yet')
    }
    return { listen: refuse, connect: refuse }
  }
  onProcessDied(_process: SimProcess): void {}
}
