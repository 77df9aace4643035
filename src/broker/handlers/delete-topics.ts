/**
 * DeleteTopics (API key 20). The answer comes when the deletion is committed and the topics are served no more here.
 */
import type { RequestOf, ResponseOf } from '../../protocol/apis.ts'
import type { BrokerServices } from '../services.ts'

export async function handleDeleteTopics(
  services: BrokerServices,
  request: RequestOf<'DeleteTopics'>,
): Promise<ResponseOf<'DeleteTopics'>> {
  const response = await services.controller.deleteTopics(request)
  await services.metadataInEffect()
  return response
}
