/**
 * CreatePartitions (API key 37). The answer comes when the partitions are committed and served here.
 */
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import type { BrokerServices } from '../services.ts'

export async function handleCreatePartitions(
  services: BrokerServices,
  request: RequestOf<'CreatePartitions'>,
): Promise<ResponseOf<'CreatePartitions'>> {
  const response = await services.controller.createPartitions(request)
  await services.metadataInEffect()
  return response
}
