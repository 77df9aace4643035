/**
 * AlterConfigs (API key 33) and IncrementalAlterConfigs (44, KIP-339). The answer comes when the settings are committed
 * and in force here.
 */
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import type { BrokerServices } from '../services.ts'

export async function handleIncrementalAlterConfigs(
  services: BrokerServices,
  request: RequestOf<'IncrementalAlterConfigs'>,
): Promise<ResponseOf<'IncrementalAlterConfigs'>> {
  const response = await services.controller.incrementalAlterConfigs(request)
  await services.metadataInEffect()
  return response
}

export async function handleAlterConfigs(
  services: BrokerServices,
  request: RequestOf<'AlterConfigs'>,
): Promise<ResponseOf<'AlterConfigs'>> {
  const response = await services.controller.alterConfigs(request)
  await services.metadataInEffect()
  return response
}
